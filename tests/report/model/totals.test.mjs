// SPDX-License-Identifier: BSD-3-Clause
// Sums against a slow reference that keeps every run apart: totals, ranges, recursion, merged lines, filters.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Tables, lane, payload, random } from '../gen.mjs';
import { OFF, model, scopeOf, toProfile } from './lib.mjs';

/** A small profile at random, with recursion, several lines per function, states and gaps. */
function small(seed) {
	const next = random(seed);
	const below = (n) => Math.floor(next() * n);
	const tables = new Tables();
	const funcs = Array.from({ length: 6 }, (_, f) => tables.func({ name: 'abcdef'[f], path: `/srv/app/m${f % 3}.py`, line: f + 1, kind: f % 3, flags: f % 3 ? 0 : 1 }));
	for (let i = 0; i < 40; i++) tables.node(i ? below(tables.nodes.length + 1) - 1 : -1, funcs[below(6)], 1 + below(3));
	const threads = [0, 1].map((t) => {
		const runs = Array.from({ length: 60 }, (_, i) => ({ node: below(tables.nodes.length + (next() < 0.05 ? 1 : 0)), us: next() < 0.1 ? 0 : 1 + below(5000), count: 1 + below(3), state: below(4), gap: i && next() < 0.1 ? 700 : 0 }));
		const name = `t${t}`;
		return lane({ name: tables.text(name), func: tables.func({ name, path: '<thread>', line: t + 1, kind: 7 }), ident: String(t + 1), start_us: 10 * t }, runs);
	});
	return toProfile(payload(tables, { stem: 0, has_states: true }, [{ command: 0, func: 0 }], threads));
}

/** Every run in scope as its own stack, clipped: [{path: [node...], us, count, state}]. */
function runsOf(profile, scope) {
	const out = [];
	for (const t of scope.threads) {
		const thread = profile.threads[t];
		for (let run = 0; run < thread.runs; run++) {
			let us = Math.round(thread.dur[run] * 1e6);
			let count = thread.count[run];
			if (scope.range) {
				const low = Math.max(thread.begin[run], scope.range[0]);
				const high = Math.min(thread.begin[run] + thread.dur[run], scope.range[1]);
				const part = Math.round((high - low) * 1e6);
				if (high < low || (part === 0 && us > 0)) continue;
				if (us) count *= part / us;
				us = part;
			}
			const path = [];
			if (thread.node[run] < profile.nodes.n) for (let at = thread.node[run]; at >= 0; at = profile.nodes.parent[at]) path.unshift(at);
			out.push({ thread: t, path, us, count, state: thread.state[run] });
		}
	}
	return out;
}

/** path of keys -> sums, by brute force. */
function reference(runs, key, head = () => []) {
	const rows = new Map();
	for (const { thread, path, us, count, state } of runs) {
		const keys = [...head(thread), ...path.map(key)];
		for (let i = 0; i <= keys.length; i++) {
			const at = keys.slice(0, i).join('/');
			let row = rows.get(at);
			if (!row) rows.set(at, (row = { total: 0, self: 0, count: 0, states: [0, 0, 0, 0] }));
			row.total += us;
			row.count += count;
			row.states[state] += us;
			if (i === keys.length) row.self += us;
		}
	}
	return rows;
}

function compare(profile, tree, rows, name) {
	const paths = [];
	for (let row = 0; row < tree.n; row++) {
		const up = tree.parent[row];
		const key = tree.func[row] < 0 ? '' : name(tree, row);
		paths[row] = up < 0 ? key : paths[up] ? `${paths[up]}/${key}` : key;
		const want = rows.get(paths[row]);
		assert.ok(want, `row ${paths[row]} is not in the reference`);
		const near = (a, b, what) => assert.ok(Math.abs(a - b) < 1e-9 * (1 + Math.abs(b)), `${paths[row]} ${what}: ${a}, not ${b}`);
		near(tree.total[row], want.total / 1e6, 'total');
		near(tree.self[row], want.self / 1e6, 'self');
		near(tree.count[row], want.count, 'count');
		near(tree.running[row], want.states[1] / 1e6, 'running');
		near(tree.waiting[row], want.states[2] / 1e6, 'waiting');
		near(tree.gil[row], want.states[3] / 1e6, 'gil');
		if (tree.next[row] >= 0) assert.ok(tree.total[row] >= tree.total[tree.next[row]], 'heaviest first');
		assert.ok(up < row, 'callers first');
	}
	return paths;
}

const SEEDS = Array.from({ length: 60 }, (_, i) => 100 + i);
const SCOPES = [{}, { merged: true }, { threads: [1] }, { merged: true, range: [0.01, 0.05] }, { range: [0.0305, 0.0312] }, { threads: [0], range: [0.02, 0.0200001] }];

test('totals, own time, samples and states of every row, in every scope, lines merged and apart', () => {
	let compared = 0;
	for (const seed of SEEDS) {
		const profile = small(seed);
		const { nodes, funcs } = profile;
		for (const more of SCOPES) {
			const scope = scopeOf(profile, more);
			for (const mergeLines of [true, false]) {
				const runs = runsOf(profile, scope);
				const tree = model.viewTree(profile, scope, { ...OFF, mergeLines });
				const key = (node) => `${funcs.ident[nodes.func[node]]}${mergeLines ? '' : `:${nodes.line[node]}`}`;
				const apart = !scope.merged && scope.threads.length > 1;
				const hasThreadRow = tree.n > 0 && (apart || (tree.func[0] >= 0 && funcs.kind[tree.func[0]] === 7));
				const rows = reference(runs, key, (t) => (hasThreadRow ? [`t${profile.threads[t].func}`] : []));
				const name = (of, row) => (funcs.kind[of.func[row]] === 7 ? `t${of.func[row]}` : mergeLines ? `${funcs.ident[of.func[row]]}` : `${funcs.ident[of.func[row]]}:${of.line[row]}`);
				const paths = compare(profile, tree, rows, name);
				compared += paths.length;
				const shown = new Set(paths);
				for (const path of rows.keys()) if (path && !shown.has(path)) assert.fail(`seed ${seed}: ${path} is missing`);
				const all = runs.reduce((sum, run) => sum + run.us, 0) / 1e6;
				assert.ok(Math.abs(tree.totalTime - all) < 1e-9);
			}
		}
	}
	console.log(`figure page model against a slow reference: ${compared} rows equal`);
});

test('functions, files and lines: recursion counted once', () => {
	for (const seed of SEEDS) {
		const profile = small(seed);
		const { nodes, funcs } = profile;
		for (const more of SCOPES) {
			const scope = scopeOf(profile, more);
			const runs = runsOf(profile, scope);
			for (const by of ['function', 'file', 'line', 'package']) {
				const key = (node) => {
					const f = nodes.func[node];
					return { function: funcs.ident[f], file: funcs.path(f), line: `${funcs.ident[f]}:${nodes.line[node]}`, package: model.moduleOf(profile, f) }[by];
				};
				const want = new Map();
				for (const { path, us, count } of runs) {
					for (const k of new Set(path.map(key))) {
						const row = want.get(k) ?? { total: 0, self: 0, count: 0 };
						row.total += us;
						row.count += count;
						if (key(path[path.length - 1]) === k) row.self += us;
						want.set(k, row);
					}
				}
				const rows = model.functions(profile, scope, OFF, by);
				assert.equal(rows.length, want.size, `${by}: rows`);
				for (const row of rows) {
					const k = { function: funcs.ident[row.func], file: funcs.path(row.func), line: `${funcs.ident[row.func]}:${row.line}`, package: model.moduleOf(profile, row.func) }[by];
					const sums = want.get(k);
					assert.ok(sums, `${by} ${k}`);
					assert.ok(Math.abs(row.total - sums.total / 1e6) < 1e-9, `${by} ${k}: total`);
					assert.ok(Math.abs(row.self - sums.self / 1e6) < 1e-9, `${by} ${k}: self`);
					assert.ok(Math.abs(row.count - sums.count) < 1e-6, `${by} ${k}: count`);
				}
			}
		}
	}
});

test('lines of a function: own and total, and the calls they make', () => {
	for (const seed of SEEDS) {
		const profile = small(seed);
		const { nodes, funcs } = profile;
		const scope = scopeOf(profile);
		const all = model.lines(profile, scope);
		for (let f = 0; f < funcs.n; f++) {
			const got = all.get(f);
			const want = new Map();
			for (const { path, us } of runsOf(profile, scope)) {
				const at = path.filter((node) => funcs.ident[nodes.func[node]] === funcs.ident[f]);
				for (const line of new Set(at.map((node) => nodes.line[node]))) {
					const row = want.get(line) ?? { total: 0, self: 0 };
					row.total += us;
					const last = path[path.length - 1];
					if (at.includes(last) && nodes.line[last] === line) row.self += us;
					want.set(line, row);
				}
			}
			assert.equal(got ? got.size : 0, want.size);
			for (const [line, row] of want) {
				assert.ok(Math.abs(got.get(line).total - row.total / 1e6) < 1e-9, `line ${line} total`);
				assert.ok(Math.abs(got.get(line).self - row.self / 1e6) < 1e-9, `line ${line} self`);
			}
		}
	}
});

test('callers and callees of a function, every sample once', () => {
	for (const seed of SEEDS) {
		const profile = small(seed);
		const { nodes, funcs } = profile;
		const scope = scopeOf(profile);
		const runs = runsOf(profile, scope);
		const ident = (node) => funcs.ident[nodes.func[node]];
		for (let f = 0; f < 6; f++) {
			const { callers, callees } = model.sandwich(profile, scope, f);
			const up = new Map();
			const down = new Map();
			let total = 0;
			const put = (map, key, us) => map.set(key, (map.get(key) ?? 0) + us);
			for (const { path, us } of runs) {
				const first = path.findIndex((node) => ident(node) === f);
				if (first < 0) continue;
				total += us;
				const last = path.length - 1 - [...path].reverse().findIndex((node) => ident(node) === f);
				for (let i = last; i >= 0; i--) put(up, path.slice(i, last + 1).reverse().map(ident).join('/'), us);
				for (let i = first; i < path.length; i++) put(down, path.slice(first, i + 1).map(ident).join('/'), us);
			}
			for (const [tree, want] of [[callers, up], [callees, down]]) {
				const paths = [];
				for (let row = 0; row < tree.n; row++) {
					const at = String(funcs.ident[tree.func[row]]);
					paths[row] = tree.parent[row] < 0 ? at : `${paths[tree.parent[row]]}/${at}`;
					assert.ok(want.has(paths[row]), `${paths[row]} is no path`);
					assert.ok(Math.abs(tree.total[row] - want.get(paths[row]) / 1e6) < 1e-9, `${paths[row]}: ${tree.total[row]}, not ${want.get(paths[row]) / 1e6}`);
				}
				// Callers that took no time worth a row stay in the row above.
				const all = runs.reduce((sum, run) => sum + run.us, 0);
				const shown = [...want].filter(([path, us]) => tree === callees || us >= all * 1e-6 || !path.includes('/'));
				assert.equal(paths.length, shown.length, 'rows');
				if (total > 0) assert.ok(Math.abs(tree.total[0] - total / 1e6) < 1e-9);
			}
		}
	}
});

test('filters: time is never lost, and matches keep or drop whole stacks', () => {
	for (const seed of SEEDS) {
		const profile = small(seed);
		const { nodes, funcs } = profile;
		const scope = scopeOf(profile, { merged: true });
		const runs = runsOf(profile, scope);
		const all = runs.reduce((sum, run) => sum + run.us, 0) / 1e6;
		const hidden = model.viewTree(profile, scope, { ...OFF, hiddenFuncs: [0, 3] });
		assert.ok(Math.abs(hidden.total[0] - all) < 1e-9, 'hiding functions keeps the time');
		for (let row = 1; row < hidden.n; row++) assert.ok(hidden.func[row] !== 0 && hidden.func[row] !== 3);
		const flat = model.viewTree(profile, scope, { ...OFF, mergeRecursion: true });
		for (let row = 0; row < flat.n; row++) for (let up = flat.parent[row]; up >= 0; up = flat.parent[up]) assert.notEqual(flat.func[up], flat.func[row], 'no function below itself');
		assert.ok(Math.abs(flat.total[0] - all) < 1e-9, 'merging recursion keeps the time');
		for (const mode of ['only', 'exclude']) {
			const tree = model.viewTree(profile, scope, { ...OFF, match: { query: 'b', mode } });
			const want = runs.filter(({ path }) => path.some((node) => funcs.label(nodes.func[node]) === 'b') === (mode === 'only'));
			const sum = want.reduce((total, run) => total + run.us, 0) / 1e6;
			assert.ok(Math.abs((tree.n ? tree.total[0] : 0) - sum) < 1e-9, mode);
			assert.ok(Math.abs(tree.totalTime - all) < 1e-9, 'shares stay shares of everything');
		}
		const node = nodes.n - 1;
		const focus = model.viewTree(profile, scope, { ...OFF, focusNode: node });
		const chain = [];
		for (let at = node; at >= 0; at = nodes.parent[at]) chain.unshift(funcs.ident[nodes.func[at]]);
		const inside = runs.filter(({ path }) => chain.every((ident, i) => path[i] !== undefined && funcs.ident[nodes.func[path[i]]] === ident));
		assert.ok(Math.abs((focus.n ? focus.total[0] : 0) - inside.reduce((sum, run) => sum + run.us, 0) / 1e6) < 1e-9, 'focus on a path');
	}
});
