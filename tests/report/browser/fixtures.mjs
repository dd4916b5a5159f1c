// SPDX-License-Identifier: BSD-3-Clause
// Small profiles whose figures are known by heart.
import { lane, payload, Tables } from '../gen.mjs';

export const MS = 1000;

/** A program that reads orders, writes them as JSON and waits for its worker: 1 s, all figures round. */
export function shop({ worker = true, source = null, diff = false } = {}) {
	const tables = new Tables();
	const f = (name, path, line, kind, cls = '') => tables.func({ name, path, line, cls, kind, flags: kind === 0 ? 1 : 0, short: path.replace('/srv/', '').replace('/usr/lib/python3.12/', '') });
	const names = {
		module: f('<module>', '/srv/shop.py', 1, 0),
		run: f('run', '/srv/shop.py', 10, 0, 'Report'),
		csv: f('to_csv', '/srv/shop.py', 30, 0, 'Report'),
		json: f('dumps', '/usr/lib/python3.12/json/__init__.py', 183, 2),
		wait: f('wait', '<wait>', 0, 6),
		work: f('work', '/srv/worker.py', 5, 0),
		old: f('legacy', '/srv/shop.py', 60, 0),
	};
	const module = tables.node(-1, names.module, 72);
	const run = tables.node(module, names.run, 12);
	const csv = tables.node(run, names.csv, 33);
	const json = tables.node(run, names.json, 190);
	const wait = tables.node(module, names.wait, 0);
	const work = tables.node(-1, names.work, 7);
	const old = tables.node(run, names.old, 61);
	const nodes = { module, run, csv, json, wait, work, old };
	const facts = (name, ident) => ({ ident, tid: Number(ident), name: tables.text(name), func: tables.func({ name, path: '<thread>', line: Number(ident), kind: 7 }), cpu: 0.8 });
	const part = (node, ms, state = 1) => ({ node, us: ms * MS, count: ms, state });
	/* 500 ms CSV, 200 ms JSON, 100 ms run itself, 200 ms waiting */
	const main = [part(csv, 250), part(json, 100), part(run, 100), part(csv, 250), part(json, 100), part(wait, 200, 2)];
	const threads = [lane(facts('MainThread', '1'), main)];
	if (worker) threads.push(lane(facts('bg-worker', '2'), [part(work, 400), { ...part(work, 200), gap: 300 * MS }]));
	const data = payload(
		tables,
		{
			program: 'shop.py',
			command: 'Program: shop.py --orders 1000',
			title: '1.00s - shop.py - pyinstrument',
			duration: 1,
			samples: worker ? 1600 : 1000,
			cpu_time: 0.8,
			stem: 0,
			hash: '1234abcd',
			diff: diff ? { program: tables.text('shop.py'), start: 1699990000, duration: 1.2, samples: 1200, mode: 'time' } : null,
			source: source ? 'app' : 'none',
		},
		[{ pid: 7, command: tables.text('shop.py'), func: tables.func({ name: 'shop.py', path: '<process>', line: 7, kind: 7 }) }],
		threads,
	);
	if (source) data.source = Object.fromEntries(Object.entries(source).map(([name, file]) => [names[name], file]));
	if (diff) {
		/* to_csv took 100 ms before, legacy 350 ms and is gone; dumps differs by 4 samples: noise; waiting is the same */
		data.base = [lane(facts('MainThread', '1'), [part(csv, 100), part(json, 204), part(run, 346), part(old, 350), part(wait, 200, 2)])];
	}
	return { data, names, nodes };
}

/** One chain of calls, `depth` frames deep. */
export function deep(depth) {
	const tables = new Tables();
	const functions = [0, 1, 2].map((each) => tables.func({ name: `level_${each}`, path: '/srv/deep.py', line: 1 + each, kind: 0, flags: 1, short: 'deep.py' }));
	let node = -1;
	const nodes = [];
	for (let level = 0; level < depth; level++) nodes.push((node = tables.node(node, functions[level % 3], 1 + (level % 3))));
	const thread = lane({ name: tables.text('MainThread'), func: tables.func({ name: 'MainThread', path: '<thread>', line: 1, kind: 7 }) }, [
		{ node, us: 900 * MS, count: 900, state: 1 },
		{ node: nodes[depth >> 1], us: 100 * MS, count: 100, state: 1 },
	]);
	return payload(tables, { duration: 1, samples: 1000, stem: 0, title: 'deep' }, [{ command: 0, func: 0 }], [thread]);
}

/** `count` threads, each with `runs` runs of `us` microseconds. */
export function many(count, runs, us) {
	const tables = new Tables();
	const root = tables.node(-1, tables.func({ name: 'main', path: '/srv/many.py', line: 1, kind: 0, flags: 1, short: 'many.py' }), 2);
	const leaves = [0, 1].map((each) => tables.node(root, tables.func({ name: `leaf_${each}`, path: '/srv/many.py', line: 10 + each, kind: 0, flags: 1, short: 'many.py' }), 11 + each));
	const threads = [];
	for (let t = 0; t < count; t++) {
		const name = `thread-${t}`;
		threads.push(
			lane(
				{ ident: String(t + 1), tid: t + 1, name: tables.text(name), func: tables.func({ name, path: '<thread>', line: t + 1, kind: 7 }) },
				Array.from({ length: runs }, (_, i) => ({ node: leaves[(t + i) % 2], us, count: 1, state: 1 })),
			),
		);
	}
	return payload(tables, { duration: (runs * us) / 1e6, samples: count * runs, stem: 0, title: 'many' }, [{ command: tables.text('many'), func: tables.func({ name: 'many', path: '<process>', line: 1, kind: 7 }) }], threads);
}
