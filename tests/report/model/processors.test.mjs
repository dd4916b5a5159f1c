// SPDX-License-Identifier: BSD-3-Clause
// The page's list of processors gives C's tree: on the fixtures both share, and on every session there is.
import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { test } from 'node:test';
import { fromSession } from '../gen.mjs';
import { DEFAULTS, ROOT, hasWriter, model, readJson, scopeOf, sessions, toProfile, written } from './lib.mjs';
import { assertSame, filtersOf, hasPageTree, rowsOfC, rowsOfFixture, rowsOfPage } from './rows.mjs';

const CASES = [{ filter_threshold: 0.001 }, { filter_threshold: 0 }, { filter_threshold: 0.01 }, { filter_threshold: 0.2 }, { filter_threshold: 0.001, hide_regex: 'proj' }, { filter_threshold: 0.001, show_regex: 'ssl|number_[13]' }, { filter_threshold: 0.001, show_all: true }];

/** Both ways to a payload: the C writer's, and the tests' own. */
function sources(path) {
	let session = null;
	try {
		session = readJson(path);
	} catch {
		// Infinity and NaN, which Python's json writes and JavaScript's refuses: for C's writer only.
	}
	const list = session ? [['gen', () => toProfile(fromSession(session))]] : [];
	if (hasWriter) list.push(['C writer', () => model.decode(written(path))]);
	return { session, list };
}

const FOLDER = join(ROOT, 'fixtures/processors');
for (const name of readdirSync(FOLDER).filter((n) => n.endsWith('.json'))) {
	const fixture = readJson(join(FOLDER, name));
	const path = join(ROOT, 'fixtures/expected', fixture.session);
	for (const [source, make] of sources(path).list)
		test(`fixture ${name}, payload of ${source}`, () => {
			const profile = make();
			for (const { options, tree } of fixture.cases) {
				const page = model.viewTree(profile, scopeOf(profile), filtersOf(DEFAULTS, options));
				assertSame(rowsOfFixture(tree), rowsOfPage(profile, page), JSON.stringify(options));
			}
		});
}

test('every session, row for row as C', { skip: !hasPageTree && 'tests/report/page_tree is not built' }, () => {
	let compared = 0;
	const failed = [];
	for (const path of sessions()) {
		const { session, list } = sources(path);
		if (!session) continue; // infinite figures have no rows to compare
		for (const [source, make] of list) {
			const profile = make();
			for (const options of CASES) {
				try {
					const page = model.viewTree(profile, scopeOf(profile), filtersOf(DEFAULTS, options));
					compared += assertSame(rowsOfC(path, options), rowsOfPage(profile, page), `${basename(path)} (${source}) ${JSON.stringify(options)}`);
				} catch (error) {
					failed.push(error.message);
				}
			}
		}
	}
	assert.deepEqual(failed, []);
	console.log(`figure page model against C: ${compared} rows equal`);
});
