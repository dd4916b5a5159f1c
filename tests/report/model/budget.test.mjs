// SPDX-License-Identifier: BSD-3-Clause
// What the model costs on the reference profiles, as processor time: M always, L in the full tier. Limits are
// those of the page with room for slow machines; the figures are printed.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SIZES, reference } from '../gen.mjs';
import { DEFAULTS, OFF, model, scopeOf } from './lib.mjs';

const LIMITS = {
	M: { size: 2.5e6, decode: 300, tree: 400, toggle: 400, range: 400, search: 120, all: 600, zoom: 50 },
	L: { size: 12.5e6, decode: 1800, tree: 2400, toggle: 1600, range: 1600, search: 300, all: 3000, zoom: 80 },
};

function cost(work) {
	const from = process.cpuUsage();
	const result = work();
	const { user, system } = process.cpuUsage(from);
	return [result, (user + system) / 1000];
}

for (const name of ['M', 'L'])
	test(`profile ${name}`, { skip: name === 'L' && process.env.PYI_FULL !== '1' && 'only in the full tier' }, () => {
		const text = JSON.stringify(reference(SIZES[name]));
		const limits = LIMITS[name];
		const figures = { size: text.length };
		const measure = (key, work) => {
			const [result, ms] = cost(work);
			figures[key] = Math.round(ms);
			return result;
		};
		const profile = measure('decode', () => model.decode(text));
		const scope = scopeOf(profile);
		const tree = measure('tree', () => model.viewTree(profile, scope, DEFAULTS));
		measure('toggle', () => model.viewTree(profile, scope, { ...DEFAULTS, collapse: 'off' }));
		const part = measure('range', () => model.viewTree(profile, { ...scope, range: [1, 5] }, DEFAULTS));
		const found = measure('search', () => model.search(profile, 'function_12'));
		assert.ok(model.matches(tree, found).rows.length > 0);
		const all = measure('all', () => model.viewTree(profile, scope, OFF));
		const index = model.timelineIndex(profile, profile.threads[0]);
		measure('zoom', () => index.query(index.begin + 1, index.begin + 2, 1280, 0, 46));
		assert.equal(profile.nodes.n, SIZES[name].nodes);
		assert.ok(all.n > profile.nodes.n / 2 && tree.n > 100 && part.totalTime < tree.totalTime);
		console.log(`figure page model ${name} (ms of processor time, size in bytes): ${Object.entries(figures).map(([key, value]) => `${key} ${value}`).join(', ')}`);
		for (const [key, limit] of Object.entries(limits)) assert.ok(figures[key] <= limit, `${key}: ${figures[key]} is more than ${limit}`);
	});
