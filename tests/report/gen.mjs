// SPDX-License-Identifier: BSD-3-Clause
// Payloads for tests, made without the C program: from a .pyisession file, or one of the reference profiles
// S, M and L, the same ones on every machine. Written from the description of the format, not from the page's
// decoder, so that each checks the other.
//   node gen.mjs S|M|L OUT.json        node gen.mjs SESSION.pyisession OUT.json
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/** Unsigned LEB128, base64. */
export function column(numbers) {
	let bytes = new Uint8Array(1024);
	let n = 0;
	for (let value of numbers) {
		if (n + 10 > bytes.length) {
			const more = new Uint8Array(bytes.length * 2);
			more.set(bytes);
			bytes = more;
		}
		while (value >= 128) {
			bytes[n++] = (value % 128) + 128;
			value = Math.floor(value / 128);
		}
		bytes[n++] = value;
	}
	return Buffer.from(bytes.buffer, 0, n).toString('base64');
}

export class Tables {
	strings = [''];
	funcs = [];
	nodes = [];
	#texts = new Map([['', 0]]);
	#funcs = new Map();
	#nodes = new Map();

	text(text) {
		let i = this.#texts.get(text);
		if (i === undefined) {
			// What is no Unicode text never leaves the writer.
			const safe = text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd');
			i = this.strings.push(safe) - 1;
			this.#texts.set(text, i);
		}
		return i;
	}

	func({ name, path = '', line = 0, cls = '', kind = 0, flags = 0, short = path }) {
		const key = [name, path, line, cls, kind, flags].join('\0');
		let i = this.#funcs.get(key);
		if (i === undefined) {
			const cut = path.lastIndexOf('/') + 1;
			const row = [this.text(name), this.text(path.slice(0, cut)), this.text(path.slice(cut)), this.text(short), line, this.text(cls), kind, flags];
			i = this.funcs.push(row) - 1;
			this.#funcs.set(key, i);
		}
		return i;
	}

	node(parent, func, line) {
		const key = `${parent} ${func} ${line}`;
		let i = this.#nodes.get(key);
		if (i === undefined) {
			i = this.nodes.push([parent, func, line]) - 1;
			this.#nodes.set(key, i);
		}
		return i;
	}

	put() {
		const names = ['name', 'dir', 'base', 'short', 'line', 'cls', 'kind', 'flags'];
		return {
			strings: this.strings,
			funcs: { n: this.funcs.length, ...Object.fromEntries(names.map((name, c) => [name, column(this.funcs.map((row) => row[c]))])) },
			nodes: {
				n: this.nodes.length,
				parent: column(this.nodes.map(([parent], i) => (parent < 0 ? 0 : i - parent))),
				func: column(this.nodes.map((row) => row[1])),
				line: column(this.nodes.map((row) => row[2])),
			},
		};
	}
}

/** A thread from its runs [{node, us, count, state, gap}]; equal neighbours are joined. */
export function lane(facts, runs) {
	const joined = [];
	for (const run of runs) {
		const last = joined[joined.length - 1];
		if (last && last.node === run.node && last.state === run.state && !run.gap) {
			last.us += run.us;
			last.count += run.count;
		} else joined.push({ ...run });
	}
	const states = [];
	for (const { state = 0 } of joined) {
		if (states.length && states[states.length - 2] === state) states[states.length - 1]++;
		else states.push(state, 1);
	}
	let before = 0;
	const steps = joined.map(({ node }) => {
		const step = node - before;
		before = node;
		return step < 0 ? -2 * step - 1 : 2 * step;
	});
	const out = {
		process: 0,
		ident: '1',
		tid: 0,
		name: 0,
		func: 0,
		idle: false,
		cpu: 0,
		start_us: 0,
		samples: runs.reduce((sum, run) => sum + run.count, 0),
		...facts,
		runs: joined.length,
		node: column(steps),
		dur: column(joined.map((run) => run.us)),
		count: column(joined.map((run) => run.count)),
	};
	if (joined.some((run) => run.gap)) out.gap = column(joined.map((run) => run.gap ?? 0));
	if (joined.some((run) => run.state)) out.state = column(states);
	return out;
}

export function payload(tables, meta, processes, threads) {
	const text = (key, otherwise) => tables.text(meta[key] ?? otherwise);
	const all = {
		v: 1,
		meta: {
			start: 1700000000,
			duration: 0,
			interval_us: 1000,
			samples: 0,
			missed: 0,
			lost: 0,
			truncated: 0,
			unobserved: 0,
			cpu_time: 0,
			python: null,
			tool: 'test',
			hash: '00000000',
			text_threshold: 0.01,
			notes: [],
			has_states: threads.some((thread) => thread.state),
			idle: 0,
			source: 'none',
			title: '',
			diff: null,
			...meta,
			program: text('program', 'program.py'),
			command: text('command', 'Program: program.py'),
			sysprefixes: (meta.sysprefixes ?? []).map((prefix) => tables.text(prefix)),
		},
		...tables.put(),
		processes: processes.map((process) => ({ pid: 0, ...process })),
		threads,
	};
	return all;
}

// ---- from a session --------------------------------------------------------------------------------

const LEAVES = ['[self]', '[await]', '[out-of-context]'];

function split(info) {
	const [identifier, ...attributes] = info.split('\u0001');
	const [name, path, line] = identifier.split('\0');
	const value = (marker) => attributes.find((a) => a[0] === marker)?.slice(1);
	return { identifier, name, path: path ?? '', line: Number(line) || 0, cls: value('c') ?? '', executing: Number(value('l')) || 0, hidden: attributes.includes('h1') };
}

function origin(frame, prefixes, parentIsApplication) {
	const { path, name } = frame;
	if (LEAVES.includes(frame.identifier)) return { kind: 8, flags: 4 };
	if (!path) return { kind: 8, flags: 0 };
	const kinds = { '<thread>': 7, '<process>': 7, '<built-in>': 3, '<wait>': 6, '<gc>': 5 };
	if (path in kinds) return { kind: kinds[path], flags: 0 };
	const application = { kind: 0, flags: 1 };
	const library = { kind: path.includes('<frozen importlib._bootstrap') ? 4 : path.includes('site-packages') ? 1 : 2, flags: 0 };
	if (prefixes.some((prefix) => path.startsWith(prefix))) return library;
	if (path === '<string>' || path === '<stdin>') return parentIsApplication ? application : library;
	if (path.startsWith('<') && !path.startsWith('<ipython-input-')) return name ? library : { kind: 8, flags: 0 };
	return application;
}

/** Frames of the start stack that all records go through: depth of the tree's root, 0 for [root]. */
function rootDepth(stacks, start) {
	if (!stacks.length || stacks.some((stack) => !stack.length || stack[0].identifier !== stacks[0][0].identifier)) return 0;
	if (!start.length || start[0] !== stacks[0][0].identifier) return 1;
	let depth = 1;
	while (depth < start.length && stacks.every((stack) => stack[depth]?.identifier === start[depth])) depth++;
	return depth;
}

export function fromSession(session) {
	const tables = new Tables();
	const { attach } = session;
	const prefixes = session.sys_prefixes ?? [];
	const records = session.frame_records.map(([frames, seconds]) => ({ stack: frames.map(split), seconds }));
	const spans = attach?.threads ?? [];
	const shown = new Set(spans.map((span) => span.process).map((process) => spans.findIndex((span) => span.process === process)));
	const isIdle = (i) => !!spans[i]?.idle && !shown.has(i);
	const threadOf = (index) => spans.findIndex(({ first, records: n }) => index >= first && index < first + n);
	const visible = records.filter((_, i) => !isIdle(threadOf(i)));
	const stem = rootDepth(
		visible.map((record) => record.stack),
		(session.start_call_stack ?? []).map((info) => info.split('\u0001')[0]),
	);
	const lanes = new Map();
	records.forEach(({ stack, seconds }, index) => {
		const at = threadOf(index);
		let parent = -1;
		let application = true;
		let thread = null;
		stack.forEach((frame, i) => {
			const isThread = frame.path === '<thread>' && i <= 1;
			if (isThread) thread = frame;
			if (isThread || (frame.path === '<process>' && i === 0) || i + 1 < stem) return;
			const { kind, flags } = origin(frame, prefixes, parent < 0 ? i + 1 === stem : application);
			application = (flags & 1) === 1;
			parent = tables.node(parent, tables.func({ ...frame, kind, flags: flags | (frame.hidden ? 2 : 0) }), frame.executing);
		});
		const key = at >= 0 ? `t${at}` : (thread?.identifier ?? '');
		let runs = lanes.get(key);
		if (!runs) lanes.set(key, (runs = { at, thread, list: [], sum: 0, written: 0 }));
		runs.sum += seconds;
		const us = Math.round(runs.sum * 1e6) - runs.written;
		runs.written += us;
		runs.list.push({ node: parent, us, count: 1, state: 0 });
	});
	const process = tables.func({ name: '', path: '<process>', kind: 7 });
	const threads = [...lanes.values()].map(({ at, thread, list }) => {
		const span = spans[at];
		const func = thread || span ? tables.func({ name: thread?.name ?? span.name, path: '<thread>', line: thread?.line ?? 0, kind: 7 }) : tables.func({ name: '[root]', kind: 8 });
		for (const run of list) if (run.node < 0) run.node = tables.nodes.length;
		return lane({ process: span?.process ?? 0, ident: String(thread?.line ?? 0), name: tables.text(thread?.name ?? ''), func, idle: isIdle(at) }, list);
	});
	const processes = (attach?.processes?.length ? attach.processes : [{ pid: 0 }]).map(({ pid }) => ({ pid, command: 0, func: process }));
	const meta = {
		command: session.target_description,
		start: session.start_time,
		duration: session.duration,
		interval_us: Math.round((session.max_interval ?? 0.001) * 1e6),
		samples: session.sample_count,
		cpu_time: session.cpu_time ?? 0,
		sysprefixes: prefixes,
		stem,
	};
	return payload(tables, meta, processes, threads);
}

// ---- reference profiles ----------------------------------------------------------------------------

/** mulberry32: small, and the same everywhere. */
export function random(seed) {
	let a = seed >>> 0;
	return () => {
		a = (a + 0x6d2b79f5) >>> 0;
		let t = Math.imul(a ^ (a >>> 15), 1 | a);
		t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
		return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
	};
}

export const SIZES = {
	S: { samples: 4_000, nodes: 500, runs: 3_600, funcs: 120, depth: 24, seed: 1 },
	M: { samples: 100_000, nodes: 50_000, runs: 92_000, funcs: 2_400, depth: 46, seed: 2 },
	L: { samples: 1_000_000, nodes: 400_000, runs: 900_000, funcs: 9_000, depth: 46, seed: 3 },
};

/**
 * A tree grown at random to a depth, and runs over it in an adversarial order: neighbours hardly ever share a
 * stack. Two threads of three run, the third waits.
 */
export function reference({ samples, nodes, runs, funcs, depth, seed }) {
	const next = random(seed);
	const below = (n) => Math.floor(next() * n);
	const tables = new Tables();
	const kinds = [0, 0, 0, 1, 1, 2, 2, 2, 3, 4];
	const functions = [];
	for (let f = 0; f < funcs; f++) {
		const kind = kinds[below(kinds.length)];
		const file = below(Math.ceil(funcs / 12));
		const path = [`/srv/shop/app/part_${file % 40}/module_${file}.py`, `/srv/shop/venv/lib/python3.12/site-packages/package_${file % 90}/module_${file}.py`, `/usr/lib/python3.12/library_${file % 60}.py`, '<built-in>', '<frozen importlib._bootstrap>'][kind];
		functions.push(tables.func({ name: `function_${f}`, path, line: kind === 3 ? 0 : 1 + below(900), cls: kind < 2 && f % 3 === 0 ? `Class${f % 50}` : '', kind, flags: kind === 0 ? 1 : 0, short: path.replace(/^.*\/(?:site-packages|shop|python3\.12)\//, '') }));
	}
	const wait = tables.func({ name: 'wait', path: '<wait>', kind: 6 });
	const depths = [];
	const root = tables.node(-1, tables.func({ name: '<module>', path: '/srv/shop/main.py', line: 1, kind: 0, flags: 1, short: 'main.py' }), 3);
	depths[root] = 1;
	while (tables.nodes.length < nodes - 1) {
		// Mostly below a late node: that makes depth; else anywhere, which makes breadth.
		const n = tables.nodes.length;
		let parent = next() < 0.75 ? n - 1 - below(Math.min(n, 8)) : below(n);
		while (depths[parent] >= depth || tables.funcs[tables.nodes[parent][1]][6] === 3) parent = Math.max(0, tables.nodes[parent][0]);
		const node = tables.node(parent, functions[below(functions.length)], 1 + below(1200));
		depths[node] = depths[parent] + 1;
	}
	const waiting = tables.node(root, wait, 0);
	const shares = [0.55, 0.35, 0.1];
	const interval = 1000;
	const threads = shares.map((share, t) => {
		const list = [];
		const mine = Math.round(runs * share);
		let left = Math.round(samples * share);
		for (let i = 0; i < mine; i++) {
			const count = i === mine - 1 ? Math.max(1, left) : Math.min(Math.max(1, left - (mine - i - 1)), next() < 0.1 ? 2 : 1);
			left -= count;
			const idles = list[i - 1]?.node !== waiting && next() < (t === 2 ? 0.95 : 0.03);
			const node = idles ? waiting : below(tables.nodes.length - 1);
			const us = count * interval + below(41) - 20;
			list.push({ node, us, count, state: idles ? 2 : next() < 0.05 ? 3 : 1, gap: i && next() < 0.0005 ? 50_000 : 0 });
		}
		const name = ['MainThread', 'worker', 'poller'][t];
		return lane({ ident: String(1000 + t), tid: 1000 + t, name: tables.text(name), func: tables.func({ name, path: '<thread>', line: 1000 + t, kind: 7 }), cpu: (mine * interval) / 1e6 }, list);
	});
	const process = tables.func({ name: 'shop', path: '<process>', line: 77, kind: 7 });
	const duration = (samples * shares[0] * interval) / 1e6;
	return payload(tables, { program: 'main.py', command: 'Program: main.py --serve', duration, interval_us: interval, samples, cpu_time: duration, stem: 0, has_states: true, title: `${duration.toFixed(0)}s - main.py - pyinstrument`, hash: 'abcdef01' }, [{ pid: 77, command: tables.text('shop'), func: process }], threads);
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
	const [what, out] = process.argv.slice(2);
	const data = what in SIZES ? reference(SIZES[what]) : fromSession(JSON.parse(readFileSync(what, 'utf8')));
	writeFileSync(out, JSON.stringify(data).replace(/</g, '\\u003c'));
	console.log(`${out}: ${data.nodes.n} nodes, ${data.threads.reduce((sum, thread) => sum + thread.runs, 0)} runs`);
}
