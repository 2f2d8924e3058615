'use strict';
// What mysql2's documentation describes, exercised against one server.
const fs = require('fs');
const os = require('os');
const path = require('path');
const {Readable} = require('stream');
const callbacks = require('mysql2');
const mysql = require('mysql2/promise');
const {assert, test, run, server} = require('./tap.js');

let db; // one connection for the tests that need none of their own

const connect = options => mysql.createConnection({...server, ...options});

// using runs f with a connection of its own.
const using = async (options, f) => {
  const c = await connect(options);
  try {
    return await f(c);
  } finally {
    c.destroy();
  }
};

const fresh = async (name, columns) => {
  await db.query(`DROP TABLE IF EXISTS ${name}`);
  await db.query(`CREATE TABLE ${name} (${columns})`);
};

test('query with placeholders', async () => {
  const [rows] = await db.query('SELECT ? AS a, ?? AS b FROM (SELECT 7 AS x) t', ["it's", 'x']);
  assert.deepStrictEqual(rows, [{a: "it's", b: 7}]);
});

test('placeholders of arrays and objects', async () => {
  await fresh('m2_set', 'id INT PRIMARY KEY, a INT, b VARCHAR(20)');
  await db.query('INSERT INTO m2_set SET ?', {id: 1, a: 2, b: 'x'});
  await db.query('INSERT INTO m2_set (id, a, b) VALUES ?', [[[2, 3, 'y'], [3, 4, null]]]);
  const [rows] = await db.query('SELECT id FROM m2_set WHERE id IN (?) ORDER BY id', [[1, 3]]);
  assert.deepStrictEqual(rows.map(r => r.id), [1, 3]);
});

test('named placeholders', () => using({namedPlaceholders: true}, async c => {
  const [rows] = await c.execute('SELECT :a + :b AS sum, :a AS a', {a: 1, b: 2});
  assert.strictEqual(Number(rows[0].sum), 3);
}));

test('insert, update, delete: ids and counts', async () => {
  await fresh('m2_ids', 'id INT AUTO_INCREMENT PRIMARY KEY, v INT');
  const [insert] = await db.query('INSERT INTO m2_ids (v) VALUES (1), (2), (3)');
  assert.strictEqual(insert.insertId, 1);
  assert.strictEqual(insert.affectedRows, 3);
  const [update] = await db.execute('UPDATE m2_ids SET v = ? WHERE id > ?', [2, 1]);
  assert.strictEqual(update.affectedRows, 2);
  assert.strictEqual(update.changedRows, 1);
  const [last] = await db.query('SELECT LAST_INSERT_ID() AS id');
  assert.strictEqual(last[0].id, 1);
  const [remove] = await db.execute('DELETE FROM m2_ids WHERE id = ?', [1]);
  assert.strictEqual(remove.affectedRows, 1);
});

test('prepared statements run many times', async () => {
  const statement = await db.prepare('SELECT ? * 2 AS double_of, ? AS text');
  for (let i = 0; i < 50; i++) {
    const [rows] = await statement.execute([i, `t${i}`]);
    assert.strictEqual(Number(rows[0].double_of), 2 * i);
    assert.strictEqual(rows[0].text, `t${i}`);
  }
  await statement.close();
});

test('prepared statement cache: execute and unprepare', async () => {
  for (let i = 0; i < 10; i++) {
    const [rows] = await db.execute('SELECT ? AS v', [i]);
    assert.strictEqual(Number(rows[0].v), i);
  }
  db.unprepare('SELECT ? AS v');
  const [rows] = await db.execute('SELECT ? AS v', [99]);
  assert.strictEqual(Number(rows[0].v), 99);
});

test('more prepared statements than maxPreparedStatements', () => using({maxPreparedStatements: 5}, async c => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 20; i++) {
      const [rows] = await c.execute(`SELECT ? + ${i} AS v`, [1]);
      assert.strictEqual(Number(rows[0].v), i + 1);
    }
  }
}));

test('all types, text and binary protocol alike', async () => {
  await fresh('m2_types', `i8 TINYINT, u8 TINYINT UNSIGNED, i16 SMALLINT, i32 INT, u32 INT UNSIGNED, i64 BIGINT, u64 BIGINT UNSIGNED,
    f FLOAT, d DOUBLE, n DECIMAL(20,5), c CHAR(5), v VARCHAR(50), t MEDIUMTEXT, b BLOB, bi BIT(9), dt DATE, ti TIME(3), dti DATETIME(6),
    ts TIMESTAMP NULL, y YEAR, e ENUM('a','b'), s SET('x','y','z'), j JSON, nothing INT`);
  await db.query(`INSERT INTO m2_types VALUES (-128, 255, -32768, -2147483648, 4294967295, -9007199254740991, 9007199254740991,
    1.5, 2.25, 12345.67891, 'abc', 'é😀', REPEAT('t', 70000), x'00ff27', b'101010101', '2024-02-29', '-12:34:56.789', '2024-02-29 12:34:56.789012',
    '2024-02-29 12:34:56', 2024, 'b', 'x,z', '{"k": [1, 2]}', NULL)`);
  const options = {sql: 'SELECT * FROM m2_types', dateStrings: true, jsonStrings: true};
  const [[text]] = await db.query(options);
  const [[binary]] = await db.execute(options);
  assert.deepStrictEqual(binary, text);
  assert.strictEqual(text.v, 'é😀');
  assert.strictEqual(text.t.length, 70000);
  assert.deepStrictEqual([...text.b], [0, 255, 39]);
  assert.strictEqual(text.dti, '2024-02-29 12:34:56.789012');
});

test('big numbers', () => using({supportBigNumbers: true, bigNumberStrings: true}, async c => {
  const sql = 'SELECT 18446744073709551615 AS big, 1 AS small';
  const [[text]] = await c.query(sql);
  const [[binary]] = await c.execute(sql);
  assert.strictEqual(text.big, '18446744073709551615');
  assert.deepStrictEqual(binary, text);
}));

test('rowsAsArray', async () => {
  const [rows, fields] = await db.query({sql: 'SELECT 1 AS a, 2 AS a', rowsAsArray: true});
  assert.deepStrictEqual(rows, [[1, 2]]);
  assert.deepStrictEqual(fields.map(f => f.name), ['a', 'a']);
});

test('nestTables', async () => {
  await fresh('m2_left', 'id INT');
  await fresh('m2_right', 'id INT');
  await db.query('INSERT INTO m2_left VALUES (1)');
  await db.query('INSERT INTO m2_right VALUES (1)');
  const [rows] = await db.query({sql: 'SELECT * FROM m2_left l JOIN m2_right r ON l.id = r.id', nestTables: true});
  assert.deepStrictEqual(rows, [{l: {id: 1}, r: {id: 1}}]);
});

test('typeCast', async () => {
  const [rows] = await db.query({
    sql: "SELECT 'true' AS a, 5 AS b",
    typeCast: (field, next) => field.name === 'a' ? field.string() === 'true' : next(),
  });
  assert.deepStrictEqual(rows, [{a: true, b: 5}]);
});

test('field metadata', async () => {
  await fresh('m2_meta', 'id INT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(10) NULL');
  const [, fields] = await db.query('SELECT id, name AS other FROM m2_meta m');
  assert.deepStrictEqual(fields.map(f => [f.name, f.orgName, f.table, f.orgTable, f.schema || f.db]),
    [['id', 'id', 'm', 'm2_meta', server.database], ['other', 'name', 'm', 'm2_meta', server.database]]);
});

test('multiple statements', () => using({multipleStatements: true}, async c => {
  const [results, fields] = await c.query('SELECT 1 AS a; SET @x = 5; SELECT @x AS x, 2 AS b');
  assert.strictEqual(results.length, 3);
  assert.deepStrictEqual(results[0], [{a: 1}]);
  assert.strictEqual(results[1].affectedRows, 0);
  assert.deepStrictEqual(results[2].map(r => [Number(r.x), r.b]), [[5, 2]]);
  assert.strictEqual(fields[1], undefined);
}));

test('an error in the middle of multiple statements', () => using({multipleStatements: true}, async c => {
  await assert.rejects(c.query('SELECT 1; SELECT * FROM no_such_table; SELECT 2'), {code: 'ER_NO_SUCH_TABLE', errno: 1146});
  const [rows] = await c.query('SELECT 3 AS v');
  assert.deepStrictEqual(rows, [{v: 3}]);
}));

test('stored procedures with several result sets', async () => {
  await db.query('DROP PROCEDURE IF EXISTS m2_proc');
  await db.query('CREATE PROCEDURE m2_proc(IN n INT, OUT twice INT) BEGIN SELECT n AS n; SELECT n + 1 AS a, n + 2 AS b; SET twice = 2 * n; END');
  for (const how of ['query', 'execute']) {
    const [results] = await db[how]('CALL m2_proc(?, @twice)', [20]);
    assert.deepStrictEqual(results[0], [{n: 20}]);
    assert.deepStrictEqual(results[1].map(r => [Number(r.a), Number(r.b)]), [[21, 22]]);
    const [[out]] = await db.query('SELECT @twice AS twice');
    assert.strictEqual(Number(out.twice), 40);
  }
});

test('transactions: commit and rollback', async () => {
  await fresh('m2_trx', 'id INT');
  await db.beginTransaction();
  await db.query('INSERT INTO m2_trx VALUES (1)');
  await db.commit();
  await db.beginTransaction();
  await db.query('INSERT INTO m2_trx VALUES (2)');
  const [inside] = await db.query('SELECT COUNT(*) AS n FROM m2_trx');
  assert.strictEqual(inside[0].n, 2);
  await db.rollback();
  const [outside] = await db.query('SELECT COUNT(*) AS n FROM m2_trx');
  assert.strictEqual(outside[0].n, 1);
});

test('streaming rows', async () => {
  await fresh('m2_stream', 'id INT PRIMARY KEY, pad VARCHAR(200)');
  await db.query('INSERT INTO m2_stream VALUES ?', [Array.from({length: 5000}, (_, i) => [i, 'p'.repeat(200)])]);
  let n = 0;
  for await (const row of db.connection.query('SELECT id FROM m2_stream ORDER BY id').stream({highWaterMark: 5})) {
    assert.strictEqual(row.id, n++);
  }
  assert.strictEqual(n, 5000);
});

test('events of a query', () => new Promise((resolve, reject) => {
  const seen = [];
  callbacks.createConnection(server).on('error', reject).query('SELECT 1 AS a UNION SELECT 2')
    .on('fields', f => seen.push(f[0].name))
    .on('result', row => seen.push(row.a))
    .on('error', reject)
    .on('end', () => {
      try {
        assert.deepStrictEqual(seen, ['a', 1, 2]);
        resolve();
      } catch (err) {
        reject(err);
      }
    });
}));

test('callbacks, and queries that queue', () => new Promise((resolve, reject) => {
  const c = callbacks.createConnection(server);
  const seen = [];
  for (let i = 0; i < 20; i++) {
    c.query('SELECT ? AS v', [i], (err, rows) => err ? reject(err) : seen.push(Number(rows[0].v)));
  }
  c.ping(err => {
    c.end();
    if (err) return reject(err);
    try {
      assert.deepStrictEqual(seen, [...Array(20).keys()]);
      resolve();
    } catch (problem) {
      reject(problem);
    }
  });
}));

test('errors have the code, number and state of the server', async () => {
  await assert.rejects(db.query('SELECT nothing FROM nowhere'), {code: 'ER_NO_SUCH_TABLE', errno: 1146, sqlState: '42S02'});
  await assert.rejects(db.execute('SELEC 1'), {code: 'ER_PARSE_ERROR', errno: 1064, sqlState: '42000'});
  await fresh('m2_dup', 'id INT PRIMARY KEY');
  await db.query('INSERT INTO m2_dup VALUES (1)');
  await assert.rejects(db.query('INSERT INTO m2_dup VALUES (1)'), {code: 'ER_DUP_ENTRY', errno: 1062, sqlState: '23000'});
});

test('a wrong password', () => assert.rejects(connect({password: 'wrong'}), {code: 'ER_ACCESS_DENIED_ERROR', errno: 1045}));

test('an unknown schema', () => assert.rejects(connect({database: 'no_such_schema'}), {code: 'ER_BAD_DB_ERROR', errno: 1049}));

test('ping', () => db.ping());

test('changeUser', () => using({}, async c => {
  await c.query('SET @mine = 1');
  await c.changeUser({user: server.user, password: server.password, database: 'information_schema'});
  const [[row]] = await c.query('SELECT DATABASE() AS d, @mine AS m');
  assert.deepStrictEqual([row.d, row.m], ['information_schema', null]);
}));

test('reset of a connection', () => using({}, async c => {
  if (!c.reset) return;
  await c.query('SET @mine = 1, SESSION sql_mode = \'ANSI\'');
  await c.reset();
  const [[row]] = await c.query('SELECT @mine AS m, @@sql_mode AS mode');
  assert.strictEqual(row.m, null);
  assert.notStrictEqual(row.mode, 'ANSI');
}));

test('LOAD DATA LOCAL from a stream', async () => {
  await fresh('m2_load', 'id INT, v VARCHAR(20)');
  const [result] = await db.query({
    sql: "LOAD DATA LOCAL INFILE 'made up' INTO TABLE m2_load FIELDS TERMINATED BY ','",
    infileStreamFactory: () => Readable.from(['1,one\n2,t', 'wo\n3,three\n']),
  });
  assert.strictEqual(result.affectedRows, 3);
  const [rows] = await db.query('SELECT v FROM m2_load ORDER BY id');
  assert.deepStrictEqual(rows.map(r => r.v), ['one', 'two', 'three']);
});

test('LOAD DATA LOCAL of a file', async () => {
  const file = path.join(os.tmpdir(), `m2-${process.pid}.csv`);
  fs.writeFileSync(file, Array.from({length: 20000}, (_, i) => `${i},row ${i}\n`).join(''));
  try {
    await fresh('m2_file', 'id INT, v VARCHAR(20)');
    const [result] = await db.query({
      sql: "LOAD DATA LOCAL INFILE ? INTO TABLE m2_file FIELDS TERMINATED BY ','", values: [file],
      infileStreamFactory: name => fs.createReadStream(name),
    });
    assert.strictEqual(result.affectedRows, 20000);
  } finally {
    fs.unlinkSync(file);
  }
});

test('a statement larger than one packet', async () => {
  const text = 'x'.repeat(17 << 20);
  const [[row]] = await db.query('SELECT LENGTH(?) AS n', [text]);
  assert.strictEqual(row.n, text.length);
  const [[back]] = await db.query('SELECT ? AS v', [text]);
  assert.strictEqual(back.v.length, text.length);
});

test('long parameters of a prepared statement', async () => {
  await fresh('m2_long', 'v LONGBLOB');
  const data = Buffer.alloc(3 << 20, 0xa5);
  await db.execute('INSERT INTO m2_long VALUES (?)', [data]);
  const [[row]] = await db.execute('SELECT v FROM m2_long');
  assert.ok(row.v.equals(data));
});

test('a pool: many at once, in transactions and not', async () => {
  await fresh('m2_pool', 'id INT PRIMARY KEY, v INT');
  const pool = mysql.createPool({...server, connectionLimit: 8, waitForConnections: true});
  try {
    await Promise.all([...Array(60).keys()].map(async i => {
      if (i % 3 === 0) {
        const c = await pool.getConnection();
        await c.beginTransaction();
        await c.query('INSERT INTO m2_pool VALUES (?, ?)', [i, i]);
        await c.commit();
        c.release();
      } else {
        await pool.execute('INSERT INTO m2_pool VALUES (?, ?)', [i, i]);
      }
      const [rows] = await pool.query('SELECT v FROM m2_pool WHERE id = ?', [i]);
      assert.deepStrictEqual(rows, [{v: i}]); // what has just been written, on another connection
    }));
    const [[{n}]] = await pool.query('SELECT COUNT(*) AS n FROM m2_pool');
    assert.strictEqual(n, 60);
  } finally {
    await pool.end();
  }
});

test('a pool of clusters', () => new Promise((resolve, reject) => {
  const cluster = callbacks.createPoolCluster();
  cluster.add('MASTER', server);
  cluster.add('SLAVE1', server);
  cluster.of('SLAVE*').getConnection((err, c) => {
    if (err) return reject(err);
    c.query('SELECT 1 AS one', (problem, rows) => {
      c.release();
      cluster.end();
      problem ? reject(problem) : rows[0].one === 1 ? resolve() : reject(new Error(JSON.stringify(rows)));
    });
  });
}));

test('time zone of dates', () => using({timezone: 'Z'}, async c => {
  const when = new Date(Date.UTC(2024, 1, 29, 12, 0, 0));
  await fresh('m2_dates', 'd DATETIME(3)');
  await c.execute('INSERT INTO m2_dates VALUES (?)', [when]);
  const [[row]] = await c.query('SELECT d FROM m2_dates');
  assert.strictEqual(row.d.getTime(), when.getTime());
}));

test('a connection character set', () => using({charset: 'latin1_swedish_ci'}, async c => {
  const [[row]] = await c.query("SELECT 'é' AS v, @@character_set_client AS cs");
  assert.deepStrictEqual([row.v, row.cs], ['é', 'latin1']);
}));

test('a query with a time limit', () => using({}, async c => {
  await assert.rejects(c.query({sql: 'SELECT SLEEP(5)', timeout: 200}), {code: 'PROTOCOL_SEQUENCE_TIMEOUT'});
}));

test('connection attributes and compression asked for', () => using({compress: true, connectAttributes: {who: 'suite'}}, async c => {
  const [[row]] = await c.query("SELECT REPEAT('a', 100000) AS v");
  assert.strictEqual(row.v.length, 100000);
}));

run(async () => { db = await connect(); }, () => db.end());
