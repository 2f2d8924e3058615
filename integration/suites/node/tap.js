'use strict';
// The least of a test runner: tests one after the other, each with a time limit,
// results in the Test Anything Protocol.
const assert = require('assert');

const tests = [];
const limit = 60000;

exports.assert = assert;
exports.test = (name, run) => tests.push({name, run});

// run runs all tests and ends the process.
exports.run = async (setUp, tearDown) => {
  console.log(`1..${tests.length}`);
  let failed = 0;
  await setUp();
  for (const [i, {name, run}] of tests.entries()) {
    let timer;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error(`no result after ${limit} ms`)), limit);
    });
    try {
      await Promise.race([run(), late]);
      console.log(`ok ${i + 1} - ${name}`);
    } catch (err) {
      failed++;
      console.log(`not ok ${i + 1} - ${name}`);
      console.log(String(err && err.stack || err).replace(/^/gm, '# '));
    } finally {
      clearTimeout(timer);
    }
  }
  await tearDown();
  process.exit(failed ? 1 : 0);
};

exports.server = {
  host: process.env.MYSQL_HOST,
  port: Number(process.env.MYSQL_PORT),
  user: process.env.MYSQL_USER,
  password: process.env.MYSQL_PASSWORD,
  database: process.env.MYSQL_DATABASE,
};
