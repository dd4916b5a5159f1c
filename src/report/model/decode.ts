// SPDX-License-Identifier: BSD-3-Clause
// From the text of the data element to a profile. Nothing in it is trusted: a damaged payload gives an
// error that says what is wrong and where, never a page that hangs or shows something made up.
import { FLAG, KIND, type Funcs, type Meta, type Nodes, type Pause, type Process, type Profile, type SourceFile, type Thread } from './types';

export class PayloadError extends Error {
	constructor(where: string, what: string) {
		super(`The data of this report is damaged (${where}: ${what})`);
		this.name = 'PayloadError';
	}
}
const fail = (where: string, what: string): never => {
	throw new PayloadError(where, what);
};

type Raw = Record<string, unknown>;
const MOST = 2 ** 53;
const MOST_ROWS = 2 ** 28; // more than any page can hold; keeps a damaged count from taking all memory

const VALUES = new Int8Array(256).fill(-1);
for (let i = 0; i < 64; i++) VALUES['ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'.charCodeAt(i)] = i;

export function bytesOf(text: string, where: string): Uint8Array {
	let length = text.length;
	if (length % 4) fail(where, 'its length is no multiple of 4');
	if (length && text[length - 1] === '=') length -= text[length - 2] === '=' ? 2 : 1;
	const bytes = new Uint8Array(Math.floor((length * 3) / 4));
	let bits = 0;
	let held = 0;
	let at = 0;
	for (let i = 0; i < length; i++) {
		const value = VALUES[text.charCodeAt(i) & 255];
		if (value < 0 || text.charCodeAt(i) > 255) fail(where, `character ${i} is not base64`);
		bits = (bits << 6) | value;
		held += 6;
		if (held >= 8) {
			held -= 8;
			bytes[at++] = (bits >> held) & 255;
		}
	}
	return bytes;
}

/**
 * `count` numbers of a column into `out`, or all there are into a list. Numbers are up to 2^53, so the high
 * part is multiplied and not shifted.
 */
function varints<T extends { [index: number]: number }>(bytes: Uint8Array, out: T, count: number, where: string, most: number): T {
	let at = 0;
	const end = bytes.length;
	for (let i = 0; i < count; i++) {
		let value = 0;
		let scale = 1;
		for (;;) {
			if (at >= end) fail(where, `it ends after ${i} of ${count} values`);
			const byte = bytes[at++];
			value += (byte & 127) * scale;
			if (byte < 128) break;
			scale *= 128;
			if (scale > MOST) fail(where, `value ${i} is too long`);
		}
		if (value > most) fail(where, `value ${i} is ${value}, more than ${most}`);
		out[i] = value;
	}
	if (at !== end) fail(where, `it has more than ${count} values`);
	return out;
}

function column<T extends { [index: number]: number }>(raw: Raw, key: string, out: T, count: number, where: string, most: number): T {
	const text = raw[key];
	if (typeof text !== 'string') fail(`${where}.${key}`, 'there is no such column');
	const name = `${where}.${key}`;
	return varints(bytesOf(text as string, name), out, count, name, most);
}

function object(value: unknown, where: string): Raw {
	if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(where, 'it is not an object');
	return value as Raw;
}
function list(value: unknown, where: string): unknown[] {
	if (!Array.isArray(value)) fail(where, 'it is not a list');
	return value as unknown[];
}
function number(raw: Raw, key: string, where: string, otherwise?: number): number {
	const value = raw[key] ?? otherwise;
	if (typeof value !== 'number' || !Number.isFinite(value)) fail(`${where}.${key}`, 'it is not a number');
	return value as number;
}
function index(raw: Raw, key: string, where: string, n: number): number {
	const value = number(raw, key, where);
	if (!Number.isInteger(value) || value < 0 || value >= n) fail(`${where}.${key}`, `${value} is outside 0..${n - 1}`);
	return value;
}
function rows(raw: Raw, key: string, where: string): number {
	return index(raw, key, where, MOST_ROWS);
}

// ---- parts --------------------------------------------------------------------------------------

function decodeMeta(raw: Raw, strings: string[]): Meta {
	const where = 'meta';
	const text = (key: string, of: Raw = raw) => strings[index(of, key, where, strings.length)];
	const plain = (key: string) => (typeof raw[key] === 'string' ? (raw[key] as string) : '');
	const diff = raw.diff ? object(raw.diff, 'meta.diff') : null;
	return {
		program: text('program'),
		command: text('command'),
		start: number(raw, 'start', where),
		duration: Math.max(0, number(raw, 'duration', where)),
		interval_us: number(raw, 'interval_us', where),
		samples: number(raw, 'samples', where),
		missed: number(raw, 'missed', where, 0),
		lost: number(raw, 'lost', where, 0),
		truncated: number(raw, 'truncated', where, 0),
		unobserved: number(raw, 'unobserved', where, 0),
		cpu_time: number(raw, 'cpu_time', where, 0),
		python: typeof raw.python === 'string' ? raw.python : null,
		tool: plain('tool'),
		hash: plain('hash'),
		text_threshold: number(raw, 'text_threshold', where, 0.01),
		notes: list(raw.notes ?? [], 'meta.notes').map(String),
		sysprefixes: list(raw.sysprefixes ?? [], 'meta.sysprefixes').map((i) => strings[i as number] ?? fail('meta.sysprefixes', `${i} is no text`)),
		has_states: raw.has_states === true,
		idle: number(raw, 'idle', where, 0),
		stem: number(raw, 'stem', where, -1),
		source: raw.source === 'app' || raw.source === 'all' ? raw.source : 'none',
		title: plain('title'),
		diff: diff && {
			program: text('program', diff),
			start: number(diff, 'start', 'meta.diff', 0),
			duration: number(diff, 'duration', 'meta.diff', 0),
			samples: number(diff, 'samples', 'meta.diff', 0),
			mode: diff.mode === 'share' ? 'share' : 'time',
		},
	};
}

function decodeFuncs(raw: Raw, strings: string[]): Funcs {
	const where = 'funcs';
	const n = rows(raw, 'n', where);
	const texts = (key: string) => {
		const out = column(raw, key, new Int32Array(n + 1), n, where, Math.max(0, strings.length - 1));
		return out;
	};
	const name = texts('name');
	const dir = texts('dir');
	const base = texts('base');
	const short = texts('short');
	const cls = texts('cls');
	// A thread's row has its ident here, which fills 64 bits: the selectors have it as text, a line number
	// that does not fit is none.
	const wide = column(raw, 'line', new Float64Array(n + 1), n, where, MOST);
	const line = new Int32Array(n + 1);
	for (let f = 0; f < n; f++) line[f] = wide[f] < 2 ** 31 ? wide[f] : 0;
	const kind = column(raw, 'kind', new Uint8Array(n + 1), n, where, KIND.SYNTHETIC);
	const flags = column(raw, 'flags', new Uint8Array(n + 1), n, where, 255);
	let self = -1;
	for (let f = 0; f < n && self < 0; f++) if (flags[f] & FLAG.LEAF && strings[name[f]] === '[self]') self = f;
	if (self < 0) {
		let text = strings.indexOf('[self]');
		if (text < 0) text = strings.push('[self]') - 1;
		self = n;
		name[self] = text;
		kind[self] = KIND.SYNTHETIC;
		flags[self] = FLAG.LEAF;
	}
	const total = n + (self === n ? 1 : 0);
	const ident = new Int32Array(total);
	const file = new Int32Array(total);
	const idents = new Map<string, number>();
	const files = new Map<string, number>();
	for (let f = 0; f < total; f++) {
		const place = `${dir[f]} ${base[f]}`;
		const key = `${name[f]} ${place} ${wide[f]}`;
		if (!idents.has(key)) idents.set(key, f);
		if (!files.has(place)) files.set(place, f);
		ident[f] = idents.get(key)!;
		file[f] = files.get(place)!;
	}
	const cut = <T extends Int32Array | Uint8Array>(array: T): T => array.subarray(0, total) as T;
	return {
		n: total,
		self,
		name: cut(name),
		dir: cut(dir),
		base: cut(base),
		short: cut(short),
		line: cut(line),
		cls: cut(cls),
		kind: cut(kind),
		flags: cut(flags),
		ident,
		file,
		label(f) {
			if (!(f >= 0 && f < total)) return '[root]';
			return cls[f] && strings[cls[f]] ? `${strings[cls[f]]}.${strings[name[f]]}` : strings[name[f]];
		},
		path(f) {
			return f >= 0 && f < total ? strings[dir[f]] + strings[base[f]] : '';
		},
		location(f) {
			if (!(f >= 0 && f < total) || kind[f] === KIND.THREAD) return '';
			const text = strings[short[f]];
			return text && !text.startsWith('<') && line[f] ? `${text}:${line[f]}` : text;
		},
	};
}

function decodeNodes(raw: Raw, funcs: number): Nodes {
	const where = 'nodes';
	const n = rows(raw, 'n', where);
	const parent = column(raw, 'parent', new Int32Array(n), n, where, n);
	for (let i = 0; i < n; i++) {
		if (parent[i] > i) fail('nodes.parent', `node ${i} has a parent outside the table`);
		parent[i] = parent[i] ? i - parent[i] : -1;
	}
	if (n && !funcs) fail('nodes.func', 'there are no functions');
	return {
		n,
		parent,
		func: column(raw, 'func', new Int32Array(n), n, where, funcs - 1),
		line: column(raw, 'line', new Int32Array(n), n, where, 2 ** 31 - 1),
	};
}

function decodeStates(raw: Raw, runs: number, where: string): Uint8Array | null {
	if (typeof raw.state !== 'string') return null;
	const bytes = bytesOf(raw.state, `${where}.state`);
	let ends = 0;
	for (let i = 0; i < bytes.length; i++) if (bytes[i] < 128) ends++;
	const pairs = varints(bytes, new Float64Array(ends), ends, `${where}.state`, MOST);
	const state = new Uint8Array(runs);
	let at = 0;
	for (let i = 0; i + 1 < ends; i += 2) {
		if (pairs[i] > 3) fail(`${where}.state`, `${pairs[i]} is no state`);
		if (pairs[i + 1] > runs - at) fail(`${where}.state`, `it describes more than ${runs} runs`);
		state.fill(pairs[i], at, (at += pairs[i + 1]));
	}
	if (ends % 2 || at !== runs) fail(`${where}.state`, `it describes ${at} of ${runs} runs`);
	return state;
}

function decodeThread(raw: Raw, where: string, strings: string[], funcs: number, nodes: number, processes: number): Thread {
	const runs = rows(raw, 'runs', where);
	const node = column(raw, 'node', new Float64Array(runs), runs, where, MOST);
	const nodeOf = new Int32Array(runs);
	let at = 0;
	for (let i = 0; i < runs; i++) {
		const step = node[i];
		at += step % 2 ? -(step + 1) / 2 : step / 2;
		if (at < 0 || at > nodes) fail(`${where}.node`, `run ${i} is at node ${at} of ${nodes}`);
		nodeOf[i] = at;
	}
	const dur = column(raw, 'dur', node, runs, where, MOST).slice();
	const gap = raw.gap === undefined ? null : column(raw, 'gap', node, runs, where, MOST);
	const begin = new Float64Array(runs);
	const start = number(raw, 'start_us', where, 0);
	let clock = start; // microseconds: whole, so nothing accumulates
	for (let i = 0; i < runs; i++) {
		if (gap) clock += gap[i];
		begin[i] = clock / 1e6;
		clock += dur[i];
		dur[i] /= 1e6;
	}
	if (clock > MOST) fail(`${where}.dur`, 'it lasts longer than can be counted');
	return {
		process: processes ? index(raw, 'process', where, processes) : -1,
		ident: String(raw.ident ?? ''),
		tid: number(raw, 'tid', where, 0),
		name: strings[index(raw, 'name', where, strings.length)],
		func: index(raw, 'func', where, funcs),
		idle: raw.idle === true,
		cpu: number(raw, 'cpu', where, 0),
		start: start / 1e6,
		samples: number(raw, 'samples', where, 0),
		runs,
		node: nodeOf,
		begin,
		dur,
		count: column(raw, 'count', new Uint32Array(runs), runs, where, 2 ** 32 - 1),
		state: decodeStates(raw, runs, where),
	};
}

function decodeSource(raw: unknown, funcs: number): Map<number, SourceFile> {
	const files = new Map<number, SourceFile>();
	if (raw === undefined || raw === null) return files;
	for (const [key, value] of Object.entries(object(raw, 'source'))) {
		const where = `source.${key}`;
		const func = Number(key);
		if (!Number.isInteger(func) || func < 0 || func >= funcs) fail(where, 'there is no such function');
		const file = object(value, where);
		const parts = list(file.parts ?? [], where).map((part) => {
			const { first, text } = object(part, where);
			if (typeof text !== 'string' || !Number.isInteger(first)) fail(where, 'a part has no text or no first line');
			return { first: first as number, text: text as string };
		});
		parts.sort((a, b) => a.first - b.first);
		files.set(func, { func, parts, stale: file.stale === true, reason: typeof file.reason === 'string' ? file.reason : null });
	}
	return files;
}

// ---- the whole ------------------------------------------------------------------------------------

function* steps(text: string): Generator<void, Profile> {
	let parsed: unknown;
	try {
		parsed = JSON.parse(text);
	} catch (error) {
		fail('JSON', (error as Error).message);
	}
	yield;
	const raw = object(parsed, 'data');
	if (raw.v !== 1) fail('version', `${String(raw.v)} is not 1`);
	const strings = list(raw.strings, 'strings').map((value, i) => (typeof value === 'string' ? value : fail('strings', `${i} is not a text`)));
	if (strings[0] !== '') fail('strings', 'the first is not empty');
	const meta = decodeMeta(object(raw.meta, 'meta'), strings);
	const funcs = decodeFuncs(object(raw.funcs, 'funcs'), strings);
	yield;
	const nodes = decodeNodes(object(raw.nodes, 'nodes'), funcs.n);
	yield;
	const processes: Process[] = list(raw.processes ?? [], 'processes').map((value, i) => {
		const where = `processes ${i}`;
		const process = object(value, where);
		return { pid: number(process, 'pid', where), command: strings[index(process, 'command', where, strings.length)], func: index(process, 'func', where, funcs.n) };
	});
	const sides: (Thread[] | null)[] = [];
	for (const key of ['threads', 'base']) {
		const threads: Thread[] = [];
		sides.push(raw[key] === undefined && key === 'base' ? null : threads);
		if (raw[key] === undefined && key === 'base') continue;
		let i = 0;
		for (const value of list(raw[key], key)) {
			const where = `${key} ${i++}`;
			threads.push(decodeThread(object(value, where), where, strings, funcs.n, nodes.n, processes.length));
			yield;
		}
	}
	return { meta, strings, funcs, nodes, processes, threads: sides[0]!, base: sides[1], source: decodeSource(raw.source, funcs.n) };
}

/** Throws PayloadError. */
export function decode(text: string): Profile {
	const work = steps(text);
	for (;;) {
		const step = work.next();
		if (step.done) return step.value;
	}
}

/** The same in slices: `pause` is waited for whenever 40 ms have gone. */
export async function decodeInSlices(text: string, pause: Pause): Promise<Profile> {
	const work = steps(text);
	let from = performance.now();
	for (;;) {
		const step = work.next();
		if (step.done) return step.value;
		if (performance.now() - from > 40) {
			await pause();
			from = performance.now();
		}
	}
}
