// Runs every test: the type checker, the specs (vitest), and the page in a browser (Playwright).
// The last line of the output is the sum: "N passed, N failed". Arguments name parts to run: types, specs, browser (default: all).

import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = join(dirname(fileURLToPath(import.meta.url)), '..');
const reports = join(root, 'build/test');
const bin = (name) => join(root, 'node_modules', name);

/** Every part: gives passed and failed, and the exit code is checked besides. */
const PARTS = {
  types: {
    title: 'type check',
    command: [bin('typescript/bin/tsc'), '--noEmit'],
    count: (code) => ({ passed: code === 0 ? 1 : 0, failed: code === 0 ? 0 : 1 }),
  },
  specs: {
    title: 'specs (vitest)',
    command: [bin('vitest/vitest.mjs'), 'run', '--reporter=default', '--reporter=json', `--outputFile.json=${join(reports, 'vitest.json')}`],
    count() {
      const report = readReport('vitest.json');
      // A file that does not load has no tests that could fail.
      const broken = report.testResults.filter((file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed')).length;
      return { passed: report.numPassedTests, failed: report.numFailedTests + broken, skipped: report.numPendingTests + (report.numTodoTests ?? 0) };
    },
  },
  browser: {
    title: 'page in the browser (Playwright)',
    command: [bin('@playwright/test/cli.js'), 'test', '--reporter=list,json'],
    env: { PLAYWRIGHT_JSON_OUTPUT_NAME: join(reports, 'playwright.json') },
    count() {
      const { stats, errors } = readReport('playwright.json');
      return { passed: stats.expected + stats.flaky, failed: stats.unexpected + errors.length, skipped: stats.skipped };
    },
  },
};

const names = process.argv.slice(2);
const unknown = names.find((name) => !Object.hasOwn(PARTS, name));
if (unknown) {
  console.error(`test: there is no part "${unknown}"; there are ${Object.keys(PARTS).join(', ')}`);
  process.exit(2);
}
rmSync(reports, { recursive: true, force: true });
mkdirSync(reports, { recursive: true });

const sum = { passed: 0, failed: 0, skipped: 0 };
for (const name of names.length ? names : Object.keys(PARTS)) {
  const part = PARTS[name];
  console.log(`\n== ${part.title}`);
  const started = Date.now();
  const code = await run(part);
  let result;
  try {
    result = part.count(code);
  } catch (error) {
    console.error(`test: ${part.title} left no report (${error.message})`);
    result = { passed: 0, failed: 1 };
  }
  // Errors outside tests, such as an unhandled rejection, show only in the exit code.
  if (code !== 0 && result.failed === 0) result.failed = 1;
  for (const key of Object.keys(sum)) sum[key] += result[key] ?? 0;
  console.log(`== ${part.title}: ${result.passed} passed, ${result.failed} failed, ${((Date.now() - started) / 1000).toFixed(0)} s`);
}
if (sum.skipped) console.log(`${sum.skipped} skipped`);
process.exitCode = sum.failed ? 1 : 0;
console.log(`${sum.passed} passed, ${sum.failed} failed`);

function run({ command, env }) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, command, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } });
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 1));
  });
}

function readReport(name) {
  return JSON.parse(readFileSync(join(reports, name), 'utf8'));
}
