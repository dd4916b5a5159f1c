// SPDX-License-Identifier: BSD-3-Clause
// Search, patterns, the timeline, comparison, exports.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SIZES, Tables, fromSession, lane, payload, random, reference } from '../gen.mjs';
import { DEFAULTS, OFF, model, scopeOf, toProfile } from './lib.mjs';

const shop = () => {
	const tables = new Tables();
	const f = (name, path, more = {}) => tables.func({ name, path, line: 3, short: path.replace(/^\/srv\//, ''), ...more });
	const main = f('main', '/srv/shop.py', { flags: 1 });
	const run = f('run', '/srv/shop.py', { cls: 'Report', flags: 1 });
	const csv = f('writerow', '/usr/lib/python3.12/csv.py', { kind: 2 });
	const dumps = f('JSON_dumps', '/srv/venv/lib/python3.12/site-packages/fast_json/core.py', { kind: 1 });
	const wait = f('wait', '<wait>', { kind: 6, line: 0 });
	const root = tables.node(-1, main, 5);
	const report = tables.node(root, run, 48);
	const again = tables.node(report, run, 50);
	const nodes = [tables.node(report, csv, 9), tables.node(again, csv, 9), tables.node(root, dumps, 7), tables.node(root, wait, 0)];
	const us = [500_000, 100_000, 300_000, 4_000_000];
	const thread = f('MainThread', '<thread>', { kind: 7, line: 1 });
	return toProfile(payload(tables, { stem: 2, duration: 5 }, [{ command: 0, func: thread }], [lane({ func: thread, name: tables.text('MainThread') }, nodes.map((node, i) => ({ node, us: us[i], count: us[i] / 1000, state: i === 3 ? 2 : 1 })))]));
};

test('the search language', () => {
	const profile = shop();
	const tree = model.viewTree(profile, scopeOf(profile), OFF);
	const names = (query) => {
		const found = model.search(profile, query);
		assert.equal(found.error, undefined, query);
		const { rows } = model.matches(tree, found);
		return [...new Set([...rows].map((row) => profile.funcs.label(tree.func[row])))].sort().join(' ');
	};
	assert.equal(names('run'), 'Report.run');
	assert.equal(names('report.RUN'), '');
	assert.equal(names('json'), 'JSON_dumps');
	assert.equal(names('shop.py'), 'Report.run main');
	assert.equal(names('CSV.py'), '');
	assert.equal(names('csv.py'), 'writerow');
	assert.equal(names('Json'), '');
	assert.equal(names('re:^w'), 'wait writerow');
	assert.equal(names('file:shop.py'), 'Report.run main');
	assert.equal(names('mod:fast_json'), 'JSON_dumps');
	assert.equal(names('mod:csv | json'), 'JSON_dumps writerow');
	assert.equal(names('re:r(un|ow) file:/usr/'), 'writerow');
	assert.equal(names('>50%'), 'main wait');
	assert.equal(names('self>200ms file:/'), 'JSON_dumps writerow');
	assert.equal(names('self>0.2 <1s'), 'JSON_dumps writerow');
	assert.equal(names('"run"'), 'Report.run');
	assert.equal(names('   '), '');
	const nested = model.matches(tree, model.search(profile, 'run'));
	assert.equal(nested.functions, 1);
	assert.equal(nested.nodes, 2);
	assert.ok(Math.abs(nested.share - 0.6 / 4.9) < 1e-9, 'nested matches count once');
	for (const bad of ['re:(', 're:', '>x%', '>5parsecs', 'self>', 're:[z-a]']) assert.ok(model.search(profile, bad).error, bad);
	const next = random(3);
	for (let i = 0; i < 3000; i++) {
		let query = '';
		for (let n = next() * 14; n > 0; n--) query += 're:file:mod:><=%|"()[]{}\\*+?. aµ9\u0000\ud800'[Math.floor(next() * 42)];
		model.matches(tree, model.search(profile, query));
	}
});

test('patterns keep their budget', () => {
	const long = `${'a'.repeat(5000)}!`;
	for (const source of ['(a+)+$', '(a|a)*b', '(a*)*b', '(.*)*x', '(a+){2,}b', 'a*a*a*a*b', '(?:a?){40}a{40}b']) {
		const pattern = new model.Pattern(source);
		const from = process.cpuUsage();
		for (const text of [long, 'a'.repeat(30), 'a'.repeat(4096), 'aaaa!']) pattern.test(text);
		const { user, system } = process.cpuUsage(from);
		assert.ok(user + system < 2e6, `${source} took ${(user + system) / 1000} ms`);
	}
	assert.ok(new model.Pattern('b$').test('a'.repeat(10) + 'b'));
	assert.ok(!new model.Pattern('!').test(long), 'only the first 4 KB are looked at');
	assert.ok(new model.Pattern('\\-a').test('-a'), 'the older dialect');
});

test('a bad pattern for groups says so and hides nothing wrongly', () => {
	const profile = shop();
	const tree = model.viewTree(profile, scopeOf(profile), { ...DEFAULTS, collapse: 'custom', hide: '(' });
	assert.ok(tree.error);
	assert.ok(tree.n > 3);
});

test('hot functions leave waiting out; waiting has its own line', () => {
	const profile = shop();
	const hot = model.hot(profile, scopeOf(profile));
	assert.deepEqual(hot.functions.map((row) => profile.funcs.label(row.func)), ['writerow', 'JSON_dumps']);
	assert.ok(Math.abs(hot.functions[0].self - 0.6) < 1e-9);
	assert.ok(Math.abs(hot.waiting.total - 4) < 1e-9);
	assert.equal(profile.funcs.label(hot.waiting.func), 'main');
	assert.equal(hot.waiting.line, 5);
});

test('built-in functions that wait are no work, whatever state was seen; time in the GIL\'s queue is not theirs', () => {
	for (const states of [true, false]) {
		const tables = new Tables();
		const f = (name, path, more) => tables.func({ name, path, line: 1, short: path, ...more });
		const root = tables.node(-1, f('main', '/srv/a.py', { flags: 1 }), 3);
		const sleep = tables.node(root, f('sleep', '<built-in>', { kind: 3, line: 0 }), 0);
		const work = tables.node(root, f('pow', '<built-in>', { kind: 3, line: 0 }), 0);
		const run = (node, us, state) => ({ node, us, count: us / 1000, ...(states ? { state } : {}) });
		const thread = lane({ func: f('MainThread', '<thread>', { kind: 7 }), name: tables.text('MainThread') }, [run(sleep, 2e6, 2), run(work, 3e6, 1), run(sleep, 1e6, 1), run(sleep, 5e5, 3)]);
		const profile = toProfile(payload(tables, { stem: 0, duration: 6.5 }, [{ command: 0, func: 0 }], [thread]));
		const hot = model.hot(profile, scopeOf(profile));
		const times = Object.fromEntries(hot.functions.map((row) => [profile.funcs.label(row.func), row.self]));
		assert.deepEqual(times, states ? { pow: 3, sleep: 0.5 } : { pow: 3 });
		assert.equal(hot.waiting.total, states ? 3 : 3.5);
		assert.equal(profile.funcs.label(hot.waiting.func), 'sleep');
	}
});

test('timeline: boxes cover exactly what ran, at every zoom, and never a gap', () => {
	const data = reference({ ...SIZES.S, runs: 1500, samples: 1600 });
	const profile = toProfile(data);
	const { nodes, funcs } = profile;
	for (const thread of profile.threads) {
		const index = model.timelineIndex(profile, thread);
		const span = index.end - index.begin;
		for (const [from, to, pixels] of [[0, 1, 1e9], [0.3, 0.31, 1e9], [0, 1, 200], [0.2, 0.6, 300], [0.5, 0.50001, 50]]) {
			const t0 = index.begin + from * span;
			const t1 = index.begin + to * span;
			const boxes = index.query(t0, t1, pixels);
			const perColumn = new Map();
			for (const box of boxes) {
				assert.ok(box.end >= box.begin);
				const column = `${box.depth} ${Math.floor(((box.begin - t0) / (t1 - t0)) * pixels)}`;
				perColumn.set(column, (perColumn.get(column) ?? 0) + 1);
			}
			if (pixels < 1e6) {
				for (const [at, n] of perColumn) assert.ok(n <= 2, `${n} boxes at ${at}`);
				continue;
			}
			// No pixel is wide enough to merge anything: the boxes are the runs.
			const want = new Map();
			for (let run = 0; run < thread.runs; run++) {
				if (thread.begin[run] + thread.dur[run] < t0 || thread.begin[run] > t1) continue;
				const path = [];
				for (let at = thread.node[run]; at >= 0 && at < nodes.n; at = nodes.parent[at]) path.unshift(at);
				path.forEach((at, depth) => {
					const key = `${depth} ${funcs.ident[nodes.func[at]]}`;
					want.set(key, (want.get(key) ?? 0) + thread.dur[run]);
				});
			}
			for (const box of boxes) {
				const key = `${box.depth} ${funcs.ident[box.func]}`;
				assert.ok(want.has(key), key);
				want.set(key, want.get(key) - (box.end - box.begin));
			}
			for (const [key, rest] of want) assert.ok(Math.abs(rest) < 1e-6, `${key}: ${rest} s are not drawn, or drawn twice`);
		}
		const { busy, seen } = index.load(index.begin, index.end, 64);
		const all = seen.reduce((a, b) => a + b, 0) * (span / 64);
		let ran = 0;
		for (let run = 0; run < thread.runs; run++) ran += thread.dur[run];
		assert.ok(Math.abs(all - ran) < 1e-4, 'load adds up');
		assert.ok(busy.every((value, i) => value <= seen[i] + 1e-6));
		const run = Math.floor(thread.runs / 2);
		assert.equal(thread.node[index.at(thread.begin[run] + thread.dur[run] / 2)], thread.node[run]);
	}
});

test('comparison: signs, gone and new, noise, share', () => {
	const tables = new Tables();
	const f = (name) => tables.func({ name, path: '/srv/a.py', line: 1, flags: 1 });
	const main = tables.node(-1, f('main'), 1);
	const [same, slow, fast, gone, fresh] = ['same', 'slow', 'fast', 'gone', 'fresh'].map((name) => tables.node(main, f(name), 1));
	const ms = (node, n) => ({ node, us: n * 1000, count: n });
	const thread = f('main');
	const make = (mode, factor = 1) => {
		const data = payload(tables, { stem: 2, diff: { program: 0, start: 0, duration: 1, samples: 1, mode } }, [{ command: 0, func: thread }], [lane({ func: thread }, [ms(same, 1000), ms(slow, 900), ms(fast, 100), ms(fresh, 400)])]);
		data.base = [lane({ func: thread }, [ms(same, 1010 * factor), ms(slow, 300 * factor), ms(fast, 800 * factor), ms(gone, 290 * factor)])];
		return toProfile(data);
	};
	const profile = make('time');
	const tree = model.diffTree(profile, scopeOf(profile), OFF);
	const row = (name) => [...tree.func.keys()].find((r) => profile.funcs.label(tree.func[r]) === name);
	assert.equal(tree.noisy[row('same')], 1);
	assert.equal(tree.noisy[row('slow')], 0);
	assert.ok(Math.abs(tree.delta[row('slow')] - 0.6) < 1e-9);
	assert.ok(Math.abs(tree.delta[row('fast')] + 0.7) < 1e-9);
	assert.equal(tree.gone[row('gone')], 1);
	assert.equal(tree.fresh[row('fresh')], 1);
	assert.equal(tree.total[row('gone')], 0);
	const rows = model.diffFunctions(profile, scopeOf(profile), OFF);
	assert.equal(rows[0].key, 'fast');
	assert.equal(rows.find((r) => r.key === 'gone').gone, true);
	assert.ok(Math.abs(rows.find((r) => r.key === 'gone').delta + 0.29) < 1e-9);
	// The base ran three times as long: by share nothing of that is a change.
	const long = make('share', 3);
	const shares = model.diffTree(long, scopeOf(long), OFF);
	assert.ok(Math.abs(shares.base[0] - shares.total[0]) < 1e-6);
	assert.equal(shares.noisy[row('same')], 1);
	// Chance alone: two random halves of one program look quiet.
	const next = random(9);
	const nodes = Array.from({ length: 200 }, (_, i) => tables.node(main, f(`n${i}`), 1));
	const draw = () => Array.from({ length: 20_000 }, () => ms(nodes[Math.floor(next() * 200)], 1));
	const data = payload(tables, { stem: 2, diff: { program: 0, start: 0, duration: 1, samples: 1, mode: 'time' } }, [{ command: 0, func: thread }], [lane({ func: thread }, draw())]);
	data.base = [lane({ func: thread }, draw())];
	const quiet = toProfile(data);
	const result = model.diffTree(quiet, scopeOf(quiet), OFF);
	assert.equal(result.noisy.reduce((a, b) => a + b, 0), result.n);
});

test('exports: the session gives the same tree again, and other tools can read theirs', () => {
	const profile = shop();
	const session = JSON.parse(model.pyisession(profile).join(''));
	const again = toProfile(fromSession(session));
	const a = model.viewTree(profile, scopeOf(profile), OFF);
	const b = model.viewTree(again, scopeOf(again), OFF);
	const text = (of, tree) => Array.from({ length: tree.n }, (_, r) => `${tree.depth[r]} ${of.funcs.label(tree.func[r])} ${tree.total[r].toFixed(6)}`).join('\n');
	assert.equal(text(again, b), text(profile, a));
	const scope = JSON.parse(model.speedscope(profile).join(''));
	const { events, endValue } = scope.profiles[0];
	let open = [];
	let at = 0;
	for (const event of events) {
		assert.ok(event.at >= at && event.at <= endValue + 1e-9);
		at = event.at;
		if (event.type === 'O') open.push(event.frame);
		else assert.equal(open.pop(), event.frame);
	}
	assert.deepEqual(open, []);
	const rows = model.functions(profile, scopeOf(profile), OFF);
	rows[0].key = '=HYPERLINK("x"),1';
	const csv = model.csv(profile, rows);
	assert.ok(csv.includes(`"'=HYPERLINK(""x""),1"`), 'no formula');
	assert.equal(csv.split('\r\n').length, rows.length + 2);
	assert.equal(model.stackText(profile, 2), 'main  shop.py:5\nReport.run  shop.py:48\nReport.run  shop.py:50\n');
});

test('modules', () => {
	const profile = shop();
	const names = Array.from({ length: 4 }, (_, f) => model.moduleOf(profile, f));
	assert.deepEqual(names, ['shop', 'shop', 'csv', 'fast_json']);
});
