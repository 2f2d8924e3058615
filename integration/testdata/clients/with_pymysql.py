# Prints what a PyMySQL program sees; the same directly and through the proxy.
import hashlib
import sys

import pymysql

host, port, user, password, schema, table = sys.argv[1:]


def connect(**options):
    return pymysql.connect(host=host, port=int(port), user=user, password=password, database=schema,
                           max_allowed_packet=64 << 20, **options)


conn = connect(charset="utf8mb4")
cur = conn.cursor()


def show(sql, args=None):
    try:
        n = cur.execute(sql, args)
        print(sql[:60], "->", n, cur.lastrowid, cur.description, cur.fetchall())
    except pymysql.MySQLError as e:
        print(sql[:60], "->", type(e).__name__, e.args)


show("SELECT 1, 'two', 3.50, NULL, DATE '2024-02-29', x'00ff'")
show("SELECT %s, %s, %s", (1, "Ünïcödé 😀", None))
show("SELECT no_such_column")
show("SELEKT 1")
show("SELECT * FROM no_such_table")
show("INSERT INTO " + table + " (a, b) VALUES (%s, %s), (%s, %s)", (1, "one", 2, "zwei \\ ' \" \0"))
conn.rollback()
show("SELECT COUNT(*) FROM " + table)
show("INSERT INTO " + table + " (a, b) VALUES (%s, %s)", (3, "three"))
conn.commit()
show("SELECT a, b FROM " + table + " ORDER BY a FOR UPDATE")
conn.commit()
show("INSERT INTO " + table + " (a, b) VALUES (3, 'again')")
show("UPDATE " + table + " SET b = 'drei' WHERE a = 3")
show("UPDATE " + table + " SET b = 'drei' WHERE a = 3")
conn.commit()
for size in (17 << 20, 40 << 20):
    blob = bytes(range(251)) * (size // 251 + 1)
    blob = blob[:size]
    cur.execute("REPLACE INTO " + table + " (a, c) VALUES (%s, _binary %s)", (size, blob))
    conn.commit()
    cur.execute("SELECT SHA2(c, 256), LENGTH(c), c FROM " + table + " WHERE a = %s FOR UPDATE", (size,))
    sha, length, back = cur.fetchone()
    conn.commit()
    print("blob", size, length, sha, hashlib.sha256(back).hexdigest(), back == blob)
cur.close()
conn.close()

stream = connect(cursorclass=pymysql.cursors.SSCursor)
cur = stream.cursor()
cur.execute("SELECT a FROM " + table + " ORDER BY a")
print("streamed", list(cur))
cur.close()
stream.ping()
stream.select_db("information_schema")
cur = stream.cursor()
cur.execute("SELECT DATABASE()")
print(cur.fetchall())
stream.close()
