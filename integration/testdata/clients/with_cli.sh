# Prints what the mariadb command line shows, or the one that CLIENT names; the
# same directly and through the proxy. SIZES are those of the large values.
set -u
host=$1 port=$2 user=$3 password=$4 schema=$5 table=$6
client=(${CLIENT:-mariadb --no-defaults} -h"$host" -P"$port" -u"$user" -p"$password" --max-allowed-packet=64M "$schema")

"${client[@]}" --table -e "SELECT 1 AS one, 'two' AS two, NULL AS nothing, 3.50 AS decimals" 2>&1
"${client[@]}" --force --unbuffered --verbose 2>&1 <<SQL
SELECT 1; SELECT 2;
SELECT no_such_column;
SELEKT 1;
USE information_schema;
SELECT DATABASE();
USE $schema;
DELETE FROM $table WHERE a < 1000;
INSERT INTO $table (a, b) VALUES (1, 'one'), (2, 'two');
BEGIN;
UPDATE $table SET b = 'changed' WHERE a < 1000;
SELECT a, b FROM $table WHERE a < 1000 ORDER BY a;
ROLLBACK;
SELECT a, b FROM $table WHERE a < 1000 ORDER BY a FOR UPDATE;
PREPARE s FROM 'SELECT ? + 1';
SET @x = 41;
EXECUTE s USING @x;
DEALLOCATE PREPARE s;
INSERT INTO $table (a, b) VALUES (1, 'again');
SELECT CAST('12abc' AS SIGNED);
SHOW WARNINGS;
DELIMITER //
CREATE OR REPLACE VIEW ${table}_v AS SELECT a FROM $table WHERE a < 1000 //
SELECT * FROM ${table}_v ORDER BY a FOR UPDATE //
DROP VIEW ${table}_v //
SQL
for size in ${SIZES:-17825792 41943040}; do
  { printf "REPLACE INTO %s (a, c) VALUES (%s, '" "$table" "$size"
    head -c "$size" /dev/zero | tr '\0' 'x'
    printf "');\n"; } | "${client[@]}" 2>&1
  "${client[@]}" -N -e "SELECT SHA2(c, 256), LENGTH(c) FROM $table WHERE a = $size FOR UPDATE" 2>&1
  "${client[@]}" -N --quick -e "SELECT c FROM $table WHERE a = $size FOR UPDATE" 2>&1 | sha256sum
done
