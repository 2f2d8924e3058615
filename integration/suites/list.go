package main

import "context"

// suites are all suites there are, one line each.
var suites = []suite{
	{name: "go-sql-driver", about: "go-sql-driver/mysql's own tests", flavours: both, fetch: goDriver, run: runGoDriver},
	{name: "gorm", about: "GORM's own tests", flavours: both, fetch: gorm, prepare: []string{"CREATE DATABASE gorm"}, run: runGORM},
	{name: "xorm", about: "xorm's own tests", flavours: both, fetch: xorm, run: runXorm},
	{name: "pymysql", about: "PyMySQL's own tests", flavours: both, packages: pymysqlPackages, fetch: pymysql, prepare: pymysqlSchemas, run: runPyMySQL},
	{name: "dbd-mariadb", about: "DBD::MariaDB's own tests", flavours: both, packages: perlPackages, fetch: dbdMariaDB, prepare: perlSchema, run: runDBDMariaDB},
	{name: "dbd-mysql", about: "DBD::mysql's own tests", flavours: both, packages: perlPackages, fetch: dbdMySQL, prepare: perlSchema, run: runDBDMySQL},
	{name: "mariadb-test", about: "tests of MariaDB's main suite, by mysql-test-run --extern", flavours: mariadbOnly, packages: []string{"mariadb-test"}, serverArgs: mtrArgs, fetch: nothing, run: runMTR},
	{name: "node-mysql", about: "mysql's own tests (npm)", flavours: mariadbOnly, fetch: nodeMySQL, run: runNodeMySQL},
	{name: "node-mysql2", about: "mysql2's own tests as last published, and its documentation in a program (npm)", flavours: both, fetch: nodeMySQL2, run: runNodeMySQL2},
	{name: "node-mariadb", about: "the documentation of MariaDB Connector/Node.js in a program (npm)", flavours: both, fetch: nodeMariaDB, run: runNodeMariaDB},
	{name: "connector-j", about: "the tests of MariaDB Connector/J", flavours: mariadbOnly, packages: javaPackages, fetch: connectorJ, prepare: []string{"CREATE DATABASE testj"}, run: runConnectorJ},
	{name: "dump", about: "mariadb-dump | mariadb, and mysqldump | mysql", flavours: both, packages: []string{"mariadb-client"}, fetch: nothing, prepare: dumpStatements, run: runDump},
	{name: "django", about: "Django's tests of the database layer", flavours: both, packages: djangoPackages, fetch: django, prepare: []string{"CREATE DATABASE django", "CREATE DATABASE django_other"}, run: runDjango},
	{name: "sqlalchemy", about: "SQLAlchemy's tests of its MySQL dialect and of engine and ORM", flavours: both, packages: sqlalchemyPackages, fetch: sqlalchemy, prepare: sqlalchemySchemas, run: runSQLAlchemy},
}

// nothing is the fetch of a suite that consists of installed programs.
func nothing(context.Context, *cache) (string, error) { return "/", nil }
