// SPDX-License-Identifier: BSD-3-Clause
// Payloads: what was written comes back, and what is damaged is refused with a reason, soon.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SIZES, Tables, column, lane, payload, random, reference } from '../gen.mjs';
import { OFF, hasWriter, model, scopeOf, sessions, toProfile, written } from './lib.mjs';

test('numbers of every size come back exactly', () => {
	const next = random(7);
	const values = [0, 1, 127, 128, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 40 + 3, 2 ** 52 - 1];
	while (values.length < 300) values.push(Math.floor(next() * 2 ** Math.floor(next() * 45)));
	const tables = new Tables();
	const f = tables.func({ name: 'f', path: '/a.py', line: 1 });
	const a = tables.node(-1, f, 1);
	const b = tables.node(a, f, 2);
	const runs = values.filter((us) => us < 2 ** 45).map((us, i) => ({ node: i % 2 ? a : b, us, count: (i % 7) + 1, state: i % 4, gap: i && i % 5 === 0 ? i * 1000 : 0 }));
	const profile = toProfile(payload(tables, {}, [{ command: 0, func: f }], [lane({ func: f }, runs)]));
	const thread = profile.threads[0];
	assert.equal(thread.runs, runs.length);
	let clock = 0;
	runs.forEach((run, i) => {
		clock += run.gap;
		assert.equal(thread.node[i], run.node);
		assert.equal(thread.dur[i], run.us / 1e6);
		assert.equal(thread.begin[i], clock / 1e6);
		assert.equal(thread.count[i], run.count);
		assert.equal(thread.state[i], run.state);
		clock += run.us;
	});
});

test('a run of 100 hours', () => {
	const tables = new Tables();
	const f = tables.func({ name: 'f' });
	tables.node(-1, f, 0);
	const us = 100 * 3600 * 1e6 + 1;
	assert.ok(us > 2 ** 32);
	const profile = toProfile(payload(tables, { duration: us / 1e6 }, [{ command: 0, func: f }], [lane({ func: f }, [{ node: 0, us, count: 1 }, { node: 1, us: 1, count: 1 }, { node: 0, us, count: 1 }])]));
	const tree = model.viewTree(profile, scopeOf(profile), OFF);
	assert.equal(tree.totalTime, (2 * us + 1) / 1e6);
	assert.equal(Math.round(tree.total[0] * 1e6), 2 * us + 1);
});

test('100 000 frames deep, every view', () => {
	const tables = new Tables();
	const depth = 100_000;
	let node = -1;
	const funcs = Array.from({ length: 10 }, (_, f) => tables.func({ name: `f${f}`, path: '/a.py', line: f + 1 }));
	for (let i = 0; i < depth; i++) node = tables.node(node, funcs[i % 10], i);
	const thread = tables.func({ name: 'main', path: '<thread>', line: 1, kind: 7 });
	const runs = Array.from({ length: 50 }, (_, i) => ({ node: node - (i % 2), us: 1000, count: 1 }));
	const profile = toProfile(payload(tables, { stem: 2 }, [{ command: 0, func: thread }], [lane({ func: thread }, runs)]));
	const scope = scopeOf(profile);
	const tree = model.viewTree(profile, scope, { ...OFF, collapse: 'library' });
	assert.equal(tree.n, depth);
	assert.equal(tree.depth[depth - 1], depth - 1);
	assert.equal(model.viewTree(profile, scope, { ...OFF, mergeRecursion: true }).n, 10);
	assert.equal(model.functions(profile, scope, OFF).length, 10);
	assert.equal(model.hot(profile, scope).functions.length, 2);
	assert.ok(model.lines(profile, scope).get(funcs[0]).size > 1000);
	const index = model.timelineIndex(profile, profile.threads[0]);
	assert.equal(index.depth, depth);
	assert.ok(index.query(index.begin, index.end, 1000, depth - 50, depth).length > 50);
	assert.ok(model.stackText(profile, node).split('\n').length > depth);
	assert.ok(model.pyisession(profile).length > 1);
});

test('no threads, no runs, no frames, 500 threads', () => {
	const empty = toProfile(payload(new Tables(), {}, [], []));
	assert.equal(model.viewTree(empty, scopeOf(empty), OFF).n, 0);
	assert.equal(model.hot(empty, scopeOf(empty)).functions.length, 0);
	const tables = new Tables();
	const f = tables.func({ name: 'f' });
	const node = tables.node(-1, f, 0);
	const one = toProfile(payload(tables, {}, [{ command: 0, func: f }], [lane({ func: f }, [])]));
	assert.equal(model.viewTree(one, scopeOf(one), OFF).n, 0);
	assert.deepEqual(model.timelineIndex(one, one.threads[0]).query(0, 1, 100), []);
	const threads = Array.from({ length: 500 }, (_, t) => lane({ func: tables.func({ name: `t${t}`, path: '<thread>', line: t, kind: 7 }) }, [{ node, us: t, count: 1 }]));
	const many = toProfile(payload(tables, { stem: 0 }, [{ command: 0, func: f }], threads));
	assert.equal(model.viewTree(many, scopeOf(many), OFF).n, 1 + 500 + 500);
});

test('damage gives a reason, and soon', () => {
	const data = JSON.stringify(reference({ samples: 60, nodes: 30, runs: 50, funcs: 10, depth: 8, seed: 5 }));
	const good = JSON.parse(data);
	const refused = (change, words) => {
		const copy = JSON.parse(data);
		change(copy);
		assert.throws(
			() => model.decode(JSON.stringify(copy)),
			(error) => error instanceof model.PayloadError && words.test(error.message),
			String(words),
		);
	};
	assert.throws(() => model.decode('{"v":1,'), /damaged \(JSON/);
	assert.throws(() => model.decode('[]'), /not an object/);
	refused((d) => (d.v = 2), /version/);
	refused((d) => delete d.nodes.func, /nodes\.func/);
	refused((d) => (d.nodes.n += 1), /nodes\.parent.*ends after/);
	refused((d) => (d.nodes.n -= 1), /more than/);
	refused((d) => (d.nodes.n = 1e12), /nodes\.n/);
	refused((d) => (d.nodes.n = -1), /nodes\.n/);
	refused((d) => (d.nodes.parent = column(Array.from({ length: good.nodes.n }, () => 5))), /parent/);
	refused((d) => (d.nodes.func = column(Array.from({ length: good.nodes.n }, () => 9999))), /nodes\.func/);
	refused((d) => (d.funcs.name = '!!!!'), /base64/);
	refused((d) => (d.funcs.name = 'abc'), /multiple of 4/);
	refused((d) => (d.threads[0].dur = Buffer.alloc(4000, 0xff).toString('base64')), /too long/);
	refused((d) => (d.threads[0].node = column(Array.from({ length: good.threads[0].runs }, () => 999))), /at node/);
	refused((d) => (d.threads[0].state = column([1, 2 ** 40])), /state/);
	refused((d) => (d.threads[0].func = 12345), /func/);
	refused((d) => (d.strings = null), /strings/);
	refused((d) => (d.source = { 99999: { parts: [] } }), /source/);
	// Any byte may be wrong: it decodes or is refused, and never throws anything else.
	const next = random(11);
	for (let i = 0; i < 3000; i++) {
		const at = Math.floor(next() * data.length);
		const text = data.slice(0, at) + String.fromCharCode(32 + Math.floor(next() * 95)) + data.slice(at + 1);
		try {
			const profile = model.decode(text);
			model.viewTree(profile, scopeOf(profile), OFF);
		} catch (error) {
			assert.ok(error instanceof model.PayloadError, `${error.stack}`);
		}
	}
});

test('slices: the same profile, with the processor given back', async () => {
	const text = JSON.stringify(reference(SIZES.S));
	let pauses = 0;
	const sliced = await model.decodeInSlices(text, async () => void pauses++);
	assert.deepEqual(sliced.nodes.parent, model.decode(text).nodes.parent);
	assert.equal(sliced.threads.length, 3);
});

test('what the C writer writes for every session is read', { skip: !hasWriter && 'this build has no html renderer' }, () => {
	for (const path of sessions()) {
		const profile = model.decode(written(path));
		const tree = model.viewTree(profile, scopeOf(profile), OFF);
		let sum = 0;
		for (const thread of profile.threads) if (!thread.idle) for (let run = 0; run < thread.runs; run++) sum += Math.round(thread.dur[run] * 1e6);
		assert.ok(Math.abs(tree.totalTime - sum / 1e6) <= 1e-9 * (1 + sum), path);
	}
});
