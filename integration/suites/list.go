package main

// suites are all suites there are, one line each.
var suites = []suite{
	{name: "go-sql-driver", about: "go-sql-driver/mysql's own tests", flavours: both, fetch: goDriver, run: runGoDriver},
	{name: "gorm", about: "GORM's own tests", flavours: both, fetch: gorm, prepare: []string{"CREATE DATABASE gorm"}, run: runGORM},
	{name: "xorm", about: "xorm's own tests", flavours: both, fetch: xorm, run: runXorm},
	{name: "pymysql", about: "PyMySQL's own tests", flavours: both, packages: []string{"python3-pytest", "python3-cryptography"}, fetch: pymysql, prepare: pymysqlSchemas, run: runPyMySQL},
	{name: "dbd-mariadb", about: "DBD::MariaDB's own tests", flavours: both, packages: perlPackages, fetch: dbdMariaDB, prepare: perlSchema, run: runDBDMariaDB},
	{name: "dbd-mysql", about: "DBD::mysql's own tests", flavours: both, packages: perlPackages, fetch: dbdMySQL, prepare: perlSchema, run: runDBDMySQL},
}
