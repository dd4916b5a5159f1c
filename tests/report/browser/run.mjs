// SPDX-License-Identifier: BSD-3-Clause
// Runs the browser tests: every *.test.mjs here exports `tests`, a list of {number, name, run}. One line
// per test, at the end "N passed, N failed, N skipped".
//   node run.mjs [--only PATTERN]        PYI_REPORT_STRICT=1: the budgets without slack
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { HERE, launch, missing } from './lib.mjs';

const LIMIT = 180_000; // ms for one test
const only = process.argv[2] === '--only' ? new RegExp(process.argv[3]) : null;
const reason = missing();
const counts = { passed: 0, failed: 0, skipped: 0 };
const say = (word, test, more = '') => console.log(`${word} ${test.number} ${test.name}${more ? `: ${more}` : ''}`);
const tests = [];
for (const file of readdirSync(HERE).sort()) {
	if (file.endsWith('.test.mjs')) tests.push(...(await import(join(HERE, file))).tests);
}
tests.sort((a, b) => a.number - b.number);
const browser = reason ? null : await launch();
for (const test of tests) {
	if (only && !only.test(`${test.number} ${test.name}`)) continue;
	if (!browser) {
		counts.skipped++;
		say('skip', test, reason);
		continue;
	}
	let timer;
	try {
		const late = new Promise((_, reject) => {
			timer = setTimeout(() => reject(new Error(`not done after ${LIMIT / 1000} s`)), LIMIT);
		});
		const note = await Promise.race([test.run(browser), late]);
		if (note && note.skip) {
			counts.skipped++;
			say('skip', test, note.skip);
		} else {
			counts.passed++;
			say('ok', test, note || '');
		}
	} catch (error) {
		counts.failed++;
		say('FAIL', test, error.stack || String(error));
	}
	clearTimeout(timer);
	for (const context of browser.contexts()) await context.close();
}
await browser?.close();
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed ? 1 : 0;
