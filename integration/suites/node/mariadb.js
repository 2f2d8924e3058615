'use strict';
// What the documentation of MariaDB Connector/Node.js describes, exercised against
// one server.
const fs = require('fs');
const os = require('os');
const path = require('path');
const {Writable} = require('stream');
const {pipeline} = require('stream/promises');
const mariadb = require('mariadb');
const callbacks = require('mariadb/callback');
const {assert, test, run, server} = require('./tap.js');

// MySQL's caching_sha2_password asks for the key of the server.
const options = {...server, allowPublicKeyRetrieval: true, insertIdAsNumber: true, bigIntAsNumber: true};

let db; // one connection for the tests that need none of their own

const connect = more => mariadb.createConnection({...options, ...more});

const using = async (more, f) => {
  const c = await connect(more);
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

// affected is how many rows a batch has written, in one result or one for each of its parts.
const affected = result => [].concat(result).reduce((n, r) => n + r.affectedRows, 0);

const plain = rows => [...rows].map(r => ({...r}));

test('what the connection knows of the server', async () => {
  const version = await db.query('SELECT VERSION() AS v');
  assert.strictEqual(db.serverVersion(), version[0].v);
  assert.ok(db.isValid());
});

test('query with placeholders', async () => {
  assert.deepStrictEqual(plain(await db.query('SELECT ? AS a, ? AS b', ["it's", 7])), [{a: "it's", b: 7}]);
});

test('named placeholders', () => using({namedPlaceholders: true}, async c => {
  assert.deepStrictEqual(plain(await c.query('SELECT :a AS x, :b AS y', {a: 1, b: 'two'})), [{x: 1, y: 'two'}]);
  assert.deepStrictEqual(plain(await c.execute('SELECT :b AS y', {b: 'two'})), [{y: 'two'}]);
}));

test('rowsAsArray and metaAsArray', async () => {
  const [rows, meta] = await db.query({sql: 'SELECT 1 AS a, 2 AS a', rowsAsArray: true, metaAsArray: true});
  assert.deepStrictEqual([...rows], [[1, 2]]);
  assert.deepStrictEqual(meta.map(m => m.name()), ['a', 'a']);
});

test('nestTables', async () => {
  await fresh('mdb_left', 'id INT');
  await fresh('mdb_right', 'id INT');
  await db.query('INSERT INTO mdb_left VALUES (1)');
  await db.query('INSERT INTO mdb_right VALUES (1)');
  const rows = await db.query({sql: 'SELECT * FROM mdb_left l JOIN mdb_right r ON l.id = r.id', nestTables: true});
  assert.deepStrictEqual(plain(rows), [{l: {id: 1}, r: {id: 1}}]);
});

test('insert, update, delete: ids and counts', async () => {
  await fresh('mdb_ids', 'id INT AUTO_INCREMENT PRIMARY KEY, v INT');
  const insert = await db.query('INSERT INTO mdb_ids (v) VALUES (1), (2), (3)');
  assert.deepStrictEqual([insert.insertId, insert.affectedRows], [1, 3]);
  const update = await db.query('UPDATE mdb_ids SET v = ? WHERE id > ?', [2, 1]);
  assert.strictEqual(update.affectedRows, 2);
  assert.strictEqual((await db.query('SELECT LAST_INSERT_ID() AS id'))[0].id, 1);
  assert.strictEqual((await db.execute('DELETE FROM mdb_ids WHERE id = ?', [1])).affectedRows, 1);
});

test('prepare, execute, close', async () => {
  const statement = await db.prepare('SELECT ? * 2 AS twice, ? AS text');
  assert.strictEqual(statement.parameterCount, 2);
  for (let i = 0; i < 50; i++) {
    const rows = await statement.execute([i, `t${i}`]);
    assert.deepStrictEqual([Number(rows[0].twice), rows[0].text], [2 * i, `t${i}`]);
  }
  statement.close();
});

test('the cache of prepared statements', () => using({prepareCacheLength: 3}, async c => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 12; i++) {
      assert.strictEqual(Number((await c.execute(`SELECT ? + ${i} AS v`, [1]))[0].v), i + 1);
    }
  }
}));

test('a prepared statement streams', async () => {
  const statement = await db.prepare('SELECT ? AS v UNION ALL SELECT ?');
  const seen = [];
  for await (const row of statement.executeStream(['a', 'b'])) seen.push(row.v);
  assert.deepStrictEqual(seen, ['a', 'b']);
  statement.close();
});

for (const bulk of [true, false]) {
  test(`batch, bulk ${bulk}`, () => using({bulk}, async c => {
    await fresh('mdb_batch', 'id INT PRIMARY KEY, v VARCHAR(20), d DATETIME(3) NULL');
    const rows = Array.from({length: 3000}, (_, i) => [i, i % 7 ? `row ${i}` : null, i % 5 ? new Date(1700000000000 + i) : null]);
    const result = await c.batch('INSERT INTO mdb_batch VALUES (?, ?, ?)', rows);
    assert.strictEqual(affected(result), 3000);
    const [{n, s}] = await c.query('SELECT COUNT(*) AS n, COUNT(v) AS s FROM mdb_batch');
    assert.deepStrictEqual([Number(n), Number(s)], [3000, rows.filter(r => r[1] !== null).length]);
    await c.batch('UPDATE mdb_batch SET v = ? WHERE id = ?', [['x', 1], ['y', 2]]);
    assert.deepStrictEqual((await c.query('SELECT v FROM mdb_batch WHERE id IN (1, 2) ORDER BY id')).map(r => r.v), ['x', 'y']);
  }));

  test(`batch with a duplicate key, bulk ${bulk}`, () => using({bulk}, async c => {
    await fresh('mdb_batch_dup', 'id INT PRIMARY KEY');
    await assert.rejects(c.batch('INSERT INTO mdb_batch_dup VALUES (?)', [[1], [2], [1]]), {errno: 1062});
    assert.strictEqual((await c.query('SELECT 1 AS one'))[0].one, 1);
  }));

  test(`batch of long values, bulk ${bulk}`, () => using({bulk}, async c => {
    await fresh('mdb_batch_long', 'id INT PRIMARY KEY, v LONGTEXT');
    const result = await c.batch('INSERT INTO mdb_batch_long VALUES (?, ?)', Array.from({length: 40}, (_, i) => [i, 'x'.repeat(500000)]));
    assert.strictEqual(affected(result), 40);
  }));
}

test('all types, text and binary protocol alike', async () => {
  await fresh('mdb_types', `i8 TINYINT, u8 TINYINT UNSIGNED, i16 SMALLINT, i32 INT, u32 INT UNSIGNED, i64 BIGINT, u64 BIGINT UNSIGNED,
    f FLOAT, d DOUBLE, n DECIMAL(20,5), c CHAR(5), v VARCHAR(50), t MEDIUMTEXT, b BLOB, bi BIT(9), dt DATE, ti TIME, dti DATETIME(6),
    ts TIMESTAMP NULL, y YEAR, e ENUM('a','b'), s SET('x','y','z'), g POINT, nothing INT`);
  await db.query(`INSERT INTO mdb_types VALUES (-128, 255, -32768, -2147483648, 4294967295, -9007199254740991, 9007199254740991,
    1.5, 2.25, 12345.67891, 'abc', 'é😀', REPEAT('t', 70000), x'00ff27', b'101010101', '2024-02-29', '-12:34:56',
    '2024-02-29 12:34:56.789012', '2024-02-29 12:34:56', 2024, 'b', 'x,z', ST_GeomFromText('POINT(1 2)'), NULL)`);
  const sql = {sql: 'SELECT * FROM mdb_types', dateStrings: true};
  const [text] = plain(await db.query(sql));
  const [binary] = plain(await db.execute(sql));
  assert.deepStrictEqual(binary, text);
  assert.strictEqual(text.v, 'é😀');
  assert.deepStrictEqual([...text.b], [0, 255, 39]);
});

test('multiple statements', () => using({multipleStatements: true}, async c => {
  const results = await c.query('SELECT 1 AS a; SET @x = 5; SELECT @x AS x');
  assert.deepStrictEqual(plain(results[0]), [{a: 1}]);
  assert.strictEqual(results[1].affectedRows, 0);
  assert.strictEqual(Number(results[2][0].x), 5);
}));

test('stored procedures', async () => {
  await db.query('DROP PROCEDURE IF EXISTS mdb_proc');
  await db.query('CREATE PROCEDURE mdb_proc(IN n INT, OUT twice INT) BEGIN SELECT n AS n; SELECT n + 1 AS a; SET twice = 2 * n; END');
  for (const how of ['query', 'execute']) {
    const results = await db[how]('CALL mdb_proc(?, @twice)', [20]);
    assert.deepStrictEqual([results[0][0].n, Number(results[1][0].a)], [20, 21]);
    assert.strictEqual(Number((await db.query('SELECT @twice AS t'))[0].t), 40);
  }
});

test('OUT parameters of an executed CALL', async () => {
  await db.query('DROP PROCEDURE IF EXISTS mdb_out');
  await db.query('CREATE PROCEDURE mdb_out(IN n INT, OUT twice INT) BEGIN SET twice = 2 * n; END');
  const results = await db.execute('CALL mdb_out(?, ?)', [21, null]);
  assert.strictEqual(results[0][0].twice, 42);
});

test('transactions: commit and rollback', async () => {
  await fresh('mdb_trx', 'id INT');
  await db.beginTransaction();
  await db.query('INSERT INTO mdb_trx VALUES (1)');
  await db.commit();
  await db.beginTransaction();
  await db.query('INSERT INTO mdb_trx VALUES (2)');
  assert.strictEqual(Number((await db.query('SELECT COUNT(*) AS n FROM mdb_trx'))[0].n), 2);
  await db.rollback();
  assert.strictEqual(Number((await db.query('SELECT COUNT(*) AS n FROM mdb_trx'))[0].n), 1);
});

test('queryStream, as events and as an iterator', async () => {
  await fresh('mdb_stream', 'id INT PRIMARY KEY, pad VARCHAR(200)');
  await db.batch('INSERT INTO mdb_stream VALUES (?, ?)', Array.from({length: 5000}, (_, i) => [i, 'p'.repeat(200)]));
  let n = 0;
  await new Promise((resolve, reject) => db.queryStream('SELECT id FROM mdb_stream')
    .on('error', reject).on('fields', f => assert.strictEqual(f[0].name(), 'id')).on('data', () => n++).on('end', resolve));
  assert.strictEqual(n, 5000);
  n = 0;
  for await (const row of db.queryStream('SELECT id FROM mdb_stream ORDER BY id')) assert.strictEqual(row.id, n++);
  assert.strictEqual(n, 5000);
});

test('queryStream into a pipeline, slowly', async () => {
  let n = 0;
  const slow = new Writable({objectMode: true, highWaterMark: 2, write: (row, _, done) => { n++; setImmediate(done); }});
  await pipeline(db.queryStream('SELECT * FROM mdb_stream'), slow);
  assert.strictEqual(n, 5000);
});

test('parameters that are streams', async () => {
  await fresh('mdb_param_stream', 'id INT, v LONGBLOB');
  const file = path.join(os.tmpdir(), `mdb-${process.pid}.bin`);
  fs.writeFileSync(file, Buffer.alloc(1 << 20, 0x27));
  try {
    await db.query('INSERT INTO mdb_param_stream VALUES (?, ?)', [1, fs.createReadStream(file)]);
    await db.execute('INSERT INTO mdb_param_stream VALUES (?, ?)', [2, fs.createReadStream(file)]);
    const rows = await db.query('SELECT LENGTH(v) AS n, MD5(v) AS h FROM mdb_param_stream');
    assert.deepStrictEqual(rows.map(r => Number(r.n)), [1 << 20, 1 << 20]);
    assert.strictEqual(rows[0].h, rows[1].h);
  } finally {
    fs.unlinkSync(file);
  }
});

test('pipelined queries', () => using({pipelining: true}, async c => {
  const rows = await Promise.all([...Array(100).keys()].map(i => i % 10 === 9
    ? c.query('SELECT * FROM no_such_table').catch(err => err.errno)
    : c.query('SELECT ? AS v', [i]).then(r => Number(r[0].v))));
  assert.deepStrictEqual(rows, [...Array(100).keys()].map(i => i % 10 === 9 ? 1146 : i));
}));

test('queries that are not pipelined', () => using({pipelining: false}, async c => {
  const rows = await Promise.all([1, 2, 3].map(i => c.query('SELECT ? AS v', [i])));
  assert.deepStrictEqual(rows.map(r => Number(r[0].v)), [1, 2, 3]);
}));

test('LOAD DATA LOCAL', () => using({permitLocalInfile: true}, async c => {
  const file = path.join(os.tmpdir(), `mdb-${process.pid}.csv`);
  fs.writeFileSync(file, Array.from({length: 20000}, (_, i) => `${i},row ${i}\n`).join(''));
  try {
    await fresh('mdb_load', 'id INT, v VARCHAR(20)');
    const result = await c.query(`LOAD DATA LOCAL INFILE '${file}' INTO TABLE mdb_load FIELDS TERMINATED BY ','`);
    assert.strictEqual(result.affectedRows, 20000);
  } finally {
    fs.unlinkSync(file);
  }
}));

test('LOAD DATA LOCAL refused by the client', async () => {
  await fresh('mdb_load_no', 'id INT');
  await assert.rejects(db.query("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE mdb_load_no"));
  assert.strictEqual((await db.query('SELECT 1 AS one'))[0].one, 1);
});

test('importFile', async () => {
  const file = path.join(os.tmpdir(), `mdb-${process.pid}.sql`);
  fs.writeFileSync(file, 'DROP TABLE IF EXISTS mdb_import;\nCREATE TABLE mdb_import (v VARCHAR(20));\n' +
    "-- a comment; with a semicolon\nINSERT INTO mdb_import VALUES ('a;b'), ('c');\n");
  try {
    await db.importFile({file, database: server.database});
    assert.strictEqual(Number((await db.query('SELECT COUNT(*) AS n FROM mdb_import'))[0].n), 2);
  } finally {
    fs.unlinkSync(file);
  }
});

test('errors have the number and state of the server', async () => {
  await assert.rejects(db.query('SELECT nothing FROM nowhere'), {errno: 1146, sqlState: '42S02', code: 'ER_NO_SUCH_TABLE'});
  await assert.rejects(db.execute('SELEC 1'), {errno: 1064, sqlState: '42000'});
  await assert.rejects(connect({password: 'wrong'}), {errno: 1045});
  await assert.rejects(connect({database: 'no_such_schema'}), {errno: 1049});
});

test('a query with a time limit', () => using({}, async c => {
  if (!c.info.isMariaDB()) return; // the option is MariaDB's
  await assert.rejects(c.query({sql: 'SELECT SLEEP(5)', timeout: 200}));
  assert.strictEqual((await c.query('SELECT 1 AS one'))[0].one, 1);
}));

test('ping, with a limit', () => db.ping(5000));

test('changeUser', () => using({}, async c => {
  await c.query('SET @mine = 1');
  await c.changeUser({user: server.user, password: server.password, database: 'information_schema'});
  const [row] = await c.query('SELECT DATABASE() AS d, @mine AS m');
  assert.deepStrictEqual([row.d, row.m], ['information_schema', null]);
}));

test('reset', () => using({}, async c => {
  await c.query('SET @mine = 1');
  await c.query("SET SESSION sql_mode = 'ANSI'");
  await c.reset();
  const [row] = await c.query('SELECT @mine AS m, @@sql_mode AS mode');
  assert.strictEqual(row.m, null);
  assert.ok(!row.mode.includes('ANSI_QUOTES'));
}));

test('initSql and sessionVariables', () => using({initSql: ['SET @one = 1', 'SET @two = 2'], sessionVariables: {wait_timeout: 1234}}, async c => {
  const [row] = await c.query('SELECT @one + @two AS three, @@wait_timeout AS w');
  assert.deepStrictEqual([Number(row.three), Number(row.w)], [3, 1234]);
}));

test('time zones', () => using({timezone: '+02:00'}, async c => {
  const when = new Date(Date.UTC(2024, 1, 29, 12, 0, 0));
  await fresh('mdb_dates', 'd DATETIME(3), t TIMESTAMP(3) NULL');
  await c.query('INSERT INTO mdb_dates VALUES (?, ?)', [when, when]);
  const [text] = await c.query('SELECT * FROM mdb_dates');
  const [binary] = await c.execute('SELECT * FROM mdb_dates');
  assert.deepStrictEqual([text.d, text.t, binary.d, binary.t].map(d => d.getTime()), Array(4).fill(when.getTime()));
}));

test('collations', () => using({collation: 'LATIN1_SWEDISH_CI'}, async c => {
  const [row] = await c.query("SELECT 'é' AS v");
  assert.strictEqual(row.v, 'é');
}));

test('compression and connection attributes asked for', () => using({compress: true, connectAttributes: {who: 'suite'}}, async c => {
  assert.strictEqual((await c.query("SELECT REPEAT('a', 100000) AS v"))[0].v.length, 100000);
}));

test('a statement larger than one packet', () => using({maxAllowedPacket: 64 << 20}, async c => {
  const text = 'x'.repeat(17 << 20);
  assert.strictEqual((await c.query('SELECT ? AS v', [text]))[0].v.length, text.length);
  assert.strictEqual((await c.execute('SELECT ? AS v', [text]))[0].v.length, text.length);
}));

test('a pool: many at once, in transactions and not', async () => {
  await fresh('mdb_pool', 'id INT PRIMARY KEY, v INT');
  const pool = mariadb.createPool({...options, connectionLimit: 8});
  try {
    await Promise.all([...Array(60).keys()].map(async i => {
      if (i % 3 === 0) {
        const c = await pool.getConnection();
        await c.beginTransaction();
        await c.query('INSERT INTO mdb_pool VALUES (?, ?)', [i, i]);
        await c.commit();
        await c.release();
      } else {
        await pool.execute('INSERT INTO mdb_pool VALUES (?, ?)', [i, i]);
      }
      const rows = await pool.query('SELECT v FROM mdb_pool WHERE id = ?', [i]);
      assert.deepStrictEqual(plain(rows), [{v: i}]); // what has just been written, on another connection
    }));
    await pool.batch('UPDATE mdb_pool SET v = ? WHERE id = ?', [[100, 1], [200, 2]]);
    assert.strictEqual(Number((await pool.query('SELECT SUM(v) AS s FROM mdb_pool WHERE id IN (1, 2)'))[0].s), 300);
  } finally {
    await pool.end();
  }
});

test('a cluster of pools', async () => {
  const cluster = mariadb.createPoolCluster({restoreNodeTimeout: 100});
  cluster.add('master', options);
  cluster.add('replica1', options);
  cluster.add('replica2', options);
  try {
    for (const selector of ['RR', 'ORDER', 'RANDOM']) {
      const rows = await cluster.of(/^replica/, selector).query('SELECT 1 AS one');
      assert.strictEqual(rows[0].one, 1);
    }
    const c = await cluster.getConnection('master');
    assert.strictEqual((await c.query('SELECT 2 AS two'))[0].two, 2);
    await c.release();
  } finally {
    await cluster.end();
  }
});

test('the callback API', () => new Promise((resolve, reject) => {
  const c = callbacks.createConnection(options);
  c.connect(err => {
    if (err) return reject(err);
    c.query('SELECT ? AS v', ['x'], (problem, rows, meta) => {
      if (problem) return reject(problem);
      c.batch('SELECT ?', [[1]], () => c.end(() => {
        try {
          assert.strictEqual(rows[0].v, 'x');
          assert.strictEqual(meta[0].name(), 'v');
          resolve();
        } catch (failure) {
          reject(failure);
        }
      }));
    });
  });
}));

test('escape', async () => {
  assert.strictEqual((await db.query(`SELECT ${db.escape("a'b\\c\n\"")} AS v`))[0].v, "a'b\\c\n\"");
  assert.strictEqual(db.escapeId('a`b'), '`a``b`');
});

run(async () => { db = await connect(); }, () => db.end());
