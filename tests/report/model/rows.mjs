// SPDX-License-Identifier: BSD-3-Clause
// Compares the page's tree with C's, row for row.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { BUILD } from './lib.mjs';

export const PAGE_TREE = join(BUILD, 'tests/report/page_tree');
export const hasPageTree = existsSync(PAGE_TREE);

const plain = (text) => (text ?? '').replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');

/** Rows of C: [depth, function, path, line, seconds, class, group]. */
export function rowsOfC(session, options) {
	const words = Object.entries(options).map(([key, value]) => ({ filter_threshold: `threshold=${value}`, hide_regex: `hide=${value}`, show_regex: `show=${value}`, show_all: 'all' })[key]);
	const text = execFileSync(PAGE_TREE, [session, ...words], { maxBuffer: 1 << 28 }).toString();
	return text
		.split('\n')
		.filter(Boolean)
		.map((line) => {
			const [depth, name, path, at, time, cls, group] = JSON.parse(line);
			return { depth, name: plain(name), path: plain(path), line: at, time, cls: plain(cls), group };
		});
}

/** The same of a fixture's tree. */
export function rowsOfFixture(tree) {
	const rows = [];
	const stack = tree ? [[tree, 0]] : [];
	while (stack.length) {
		const [node, depth] = stack.pop();
		rows.push({ depth, name: plain(node.function), path: plain(node.path), line: node.line, time: node.time, cls: plain(node.class), group: node.group });
		for (const child of [...node.children].reverse()) stack.push([child, depth + 1]);
	}
	return rows;
}

export function rowsOfPage(profile, tree) {
	const rows = [];
	for (let row = 0; row < tree.n; row++) {
		const f = tree.func[row];
		const { funcs, strings } = profile;
		rows.push({
			depth: tree.depth[row],
			name: f < 0 ? '[root]' : strings[funcs.name[f]],
			path: funcs.path(f),
			line: f < 0 ? 0 : funcs.line[f],
			time: tree.total[row],
			cls: f < 0 ? '' : strings[funcs.cls[f]],
			group: tree.group[row] < 0 ? null : tree.group[row],
			count: tree.count[row],
		});
	}
	return rows;
}

/** Flat rows as a tree; keys tell siblings apart. */
function nest(rows) {
	const open = [];
	for (const row of rows) {
		const node = { ...row, children: [] };
		node.key = `${row.name}\0${row.path}`;
		open.length = row.depth;
		if (row.depth) open[row.depth - 1].children.push(node);
		open.push(node);
	}
	return open[0] ?? null;
}

const describe = (node) => `${node.name} ${node.path}:${node.line} ${node.time}`;

/** Seconds a figure may be off: C adds doubles, the payload has whole microseconds, rounded up or down by chance. */
const slackOf = (node) => 2e-6 + 2e-6 * Math.sqrt(node.count) + 1e-12 * Math.abs(node.time);

/** Siblings whose figures differ in C by less than rounding may stand in either order; equal ones may not. */
export function assertSame(expected, actual, where) {
	const c = nest(expected);
	const page = nest(actual);
	if (!c || !page) {
		assert.equal(page ? describe(page) : null, c ? describe(c) : null, `${where}: root`);
		return 0;
	}
	let compared = 0;
	const groups = new Map();
	const back = new Map();
	const stack = [[c, page, where]];
	while (stack.length) {
		const [a, b, at] = stack.pop();
		const here = `${at} > ${a.name}`;
		compared++;
		assert.equal(b.name, a.name, here);
		assert.equal(b.path, a.path, here);
		if (a.path !== '<thread>' && a.path !== '<process>' && Math.abs(a.line ?? 0) < 2 ** 31) assert.equal(b.line, Math.max(0, a.line ?? 0), `${here}: line`);
		assert.equal(b.cls, a.cls, `${here}: class`);
		assert.ok(Math.abs(a.time - b.time) <= slackOf(b), `${here}: ${b.time} is not ${a.time}`);
		assert.equal(b.group === null, a.group === null || a.group === undefined, `${here}: group`);
		if (b.group !== null) {
			if (!groups.has(a.group)) groups.set(a.group, b.group);
			if (!back.has(b.group)) back.set(b.group, a.group);
			assert.equal(b.group, groups.get(a.group), `${here}: in another group`);
			assert.equal(a.group, back.get(b.group), `${here}: in another group`);
		}
		assert.deepEqual(b.children.map((n) => n.key).sort(), a.children.map((n) => n.key).sort(), `${here}: children`);
		// Siblings with one name and path differ in their line only: then they are told apart by order.
		const used = new Set();
		b.children.forEach((child, i) => {
			let j = i < a.children.length && a.children[i].key === child.key && a.children[i].line === (child.line || a.children[i].line) && !used.has(i) ? i : -1;
			if (j < 0) j = a.children.findIndex((other, k) => !used.has(k) && other.key === child.key && (other.line ?? 0) === child.line);
			if (j < 0) j = a.children.findIndex((other, k) => !used.has(k) && other.key === child.key);
			used.add(j);
			child.place = j;
		});
		for (let i = 1; i < b.children.length; i++) {
			const left = a.children[b.children[i - 1].place];
			const right = a.children[b.children[i].place];
			if (b.children[i - 1].place > b.children[i].place) {
				assert.notEqual(left.time, right.time, `${here}: equal rows ${describe(left)} and ${describe(right)} stand in another order`);
				assert.ok(Math.abs(left.time - right.time) <= slackOf(b.children[i]) + slackOf(b.children[i - 1]), `${here}: ${describe(left)} stands before ${describe(right)}`);
			}
		}
		for (const child of b.children) stack.push([a.children[child.place], child, here]);
	}
	assert.equal(actual.length, expected.length, `${where}: number of rows`);
	return compared;
}

/** The page's filters for C's options. */
export function filtersOf(defaults, options) {
	const custom = options.hide_regex !== undefined || options.show_regex !== undefined;
	const filters = { ...defaults, threshold: options.filter_threshold ?? defaults.threshold, collapse: custom ? 'custom' : 'library', hide: options.hide_regex ?? '', show: options.show_regex ?? '' };
	// show_all drops these four; the launcher's frames still go.
	if (options.show_all) Object.assign(filters, { collapse: 'off', importlib: false, tracebackhide: false, threshold: 0 });
	return filters;
}
