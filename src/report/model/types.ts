// SPDX-License-Identifier: BSD-3-Clause
// What the parts of the page know of a profile. Times are seconds (sums are made in whole microseconds, so
// they are exact), indices are numbers, -1 is "none". Nothing here knows the DOM.

export interface Meta {
	program: string;
	command: string;
	start: number; // Unix seconds
	duration: number;
	interval_us: number;
	samples: number;
	missed: number;
	lost: number;
	truncated: number;
	unobserved: number; // seconds
	cpu_time: number;
	python: string | null;
	tool: string;
	hash: string; // 8 hex digits
	text_threshold: number;
	notes: string[];
	sysprefixes: string[];
	has_states: boolean;
	idle: number;
	/** Depth of the text report's root in every stack; 0: above all of them; -1: not told. */
	stem: number;
	source: 'none' | 'app' | 'all';
	title: string;
	diff: DiffMeta | null;
}
export interface DiffMeta {
	program: string;
	start: number;
	duration: number;
	samples: number;
	mode: 'time' | 'share';
}

export const KIND = {
	APP: 0,
	PACKAGE: 1,
	STDLIB: 2,
	NATIVE: 3,
	IMPORTING: 4,
	GC: 5,
	WAITING: 6,
	THREAD: 7,
	SYNTHETIC: 8,
} as const;
export const FLAG = { APP: 1, TRACEBACKHIDE: 2, LEAF: 4, IDLE: 8 } as const;
export const STATE = { UNKNOWN: 0, RUNNING: 1, WAITING: 2, GIL: 3 } as const;

/**
 * One row per distinct (function, path, first line, class). The decoder appends one row of its own,
 * `self`: the [self] rows of a tree have it as their function.
 */
export interface Funcs {
	n: number;
	self: number; // the row of [self]
	name: Int32Array; // -> strings
	dir: Int32Array; // -> strings
	base: Int32Array; // -> strings
	short: Int32Array; // -> strings
	line: Int32Array; // 0 unknown
	cls: Int32Array; // -> strings, 0 none
	kind: Uint8Array;
	flags: Uint8Array;
	/** Rows that differ only in their class have the same number: the lowest such row. */
	ident: Int32Array;
	/** The lowest row of the same file (dir + base). */
	file: Int32Array;
	label(f: number): string; // "Class.function"; "[root]" for -1
	path(f: number): string; // full path
	location(f: number): string; // "short/path.py:12", or "" where there is none
}
export interface Nodes {
	n: number;
	parent: Int32Array; // -1 root; parents precede children
	func: Int32Array;
	line: Int32Array; // executing in that function; 0 unknown
}
export interface Process {
	pid: number;
	command: string;
	func: number;
}
export interface Thread {
	process: number; // -> processes, -1 none
	ident: string;
	tid: number;
	name: string;
	func: number;
	idle: boolean;
	cpu: number; // seconds
	start: number; // seconds
	samples: number;
	runs: number;
	node: Int32Array; // nodes.n: no frame, the time of the thread's own row
	begin: Float64Array; // seconds since the start of the profile
	dur: Float64Array; // seconds
	count: Uint32Array; // samples the run stands for
	state: Uint8Array | null; // STATE.*
}
export interface SourceFile {
	func: number; // the first function of the file
	parts: { first: number; text: string }[];
	stale: boolean;
	reason: string | null;
}
export interface Profile {
	meta: Meta;
	strings: string[];
	funcs: Funcs;
	nodes: Nodes;
	processes: Process[];
	threads: Thread[];
	base: Thread[] | null;
	source: Map<number, SourceFile>; // by the first function of the file
}

export interface Scope {
	threads: number[]; // indices
	merged: boolean; // threads added up
	range: [number, number] | null; // seconds
	base: boolean; // look at the other session of a diff
}
export interface Filters {
	collapse: 'library' | 'custom' | 'off';
	hide: string;
	show: string;
	importlib: boolean; // true: removed
	tracebackhide: boolean; // true: removed
	profiler: boolean; // true: removed
	threshold: number; // share of the root; 0 keeps all
	selfRows: boolean; // true: shown
	mergeLines: boolean;
	mergeRecursion: boolean;
	hiddenFuncs: number[];
	hiddenModules: string[]; // names as moduleOf() gives them
	match: { query: string; mode: 'only' | 'exclude' } | null;
	focusFunc: number | null;
	focusNode: number | null;
	invert: boolean;
}

export interface Group {
	root: number; // row
	frames: number; // rows in the group, the root included
	libraries: string[]; // most time first
	rows: Int32Array; // members, depth first
}
/** A tree of rows, struct of arrays. Row 0 is the root when n > 0. A parent precedes its children. */
export interface ViewTree {
	n: number;
	parent: Int32Array;
	first: Int32Array; // children in display order: total, descending, then first seen
	next: Int32Array;
	depth: Int32Array;
	func: Int32Array; // -1: the [root] row
	line: Int32Array; // line executing in the function, or 0 when merged
	node: Int32Array; // a payload node, or -1 (thread rows, [root])
	thread: Int32Array; // the thread a row belongs to, or -1 (several)
	total: Float64Array;
	self: Float64Array; // time in the function itself, [self] rows included
	count: Float64Array; // samples in the subtree
	waiting: Float64Array;
	gil: Float64Array;
	running: Float64Array;
	firstSeen: Float64Array; // seconds
	group: Int32Array; // -1, or a place in groups
	groups: Group[];
	totalTime: number; // time in scope before anything was removed
	/** A pattern that did not compile, or took too long; the rest of the tree is right. */
	error?: string;
}
export interface DiffTree extends ViewTree {
	base: Float64Array; // seconds, on the scale of the new session when normalised
	delta: Float64Array;
	baseCount: Float64Array;
	noisy: Uint8Array; // |delta| < 2 sqrt(n_base + n_new) samples
	gone: Uint8Array; // only in the base
	fresh: Uint8Array; // only in the new session
	mode: 'time' | 'share';
}

export interface FunctionRow {
	key: string;
	func: number; // a function of the row: the one with the most self time
	line: number; // by line: the line; else 0
	self: number;
	total: number; // recursion counted once
	count: number; // samples in total
	waiting: number; // of self
	gil: number; // of self
	running: number; // of self
	base?: number; // diff: total in the base
	baseSelf?: number;
	baseCount?: number;
}
export type Grouping = 'function' | 'file' | 'package' | 'line';

export interface LineRow {
	line: number;
	self: number;
	total: number;
	count: number;
	callers: Link[]; // who called the function, for samples on this line
	calls: Link[]; // what this line calls
}
export interface Link {
	func: number;
	line: number;
	node: number;
	total: number;
	count: number;
}

/** What a search found; `error` is set when the query does not compile or took too long. */
export interface Found {
	query: string;
	error?: string;
	empty: boolean; // no query: nothing is marked
	funcs: Uint8Array; // 1: some term matches the function by name, file or module
	/** Rows of a tree that match, terms on time included. */
	test(tree: ViewTree, row: number): boolean;
}
export interface Matches {
	functions: number;
	nodes: number;
	share: number; // of time, nested matches counted once
	rows: Int32Array; // in display order
	hit: Uint8Array; // per row
}

export interface Box {
	depth: number;
	begin: number;
	end: number;
	func: number; // the function with the most time in a merged box
	node: number;
	merged: number; // 1, or how many boxes were too small to be drawn apart
	state: number; // for depth 0
}
export interface TimelineIndex {
	depth: number; // lanes
	begin: number;
	end: number;
	/** At most 2 boxes per pixel and depth. */
	query(t0: number, t1: number, pixels: number, fromDepth?: number, toDepth?: number): Box[];
	states(t0: number, t1: number, pixels: number): { begin: number; end: number; state: number }[];
	gaps(t0: number, t1: number, pixels: number): { begin: number; end: number }[];
	/** Load per bucket for the overview: share of each bucket that is busy (not waiting), and seen at all. */
	load(t0: number, t1: number, buckets: number): { busy: Float32Array; seen: Float32Array };
	/** The run at an instant, or -1. */
	at(t: number): number;
}

export interface HotLine {
	func: number;
	node: number; // the heaviest node of the function
	self: number; // without waiting
	total: number;
	count: number;
	share: number; // of the time in scope
}
export interface Hot {
	functions: HotLine[];
	waiting: { total: number; func: number; node: number; line: number; share: number } | null;
	totalTime: number;
}

/** Gives the CPU back now and then; resolves when the work may go on. */
export type Pause = () => Promise<void>;

// ---- names ----------------------------------------------------------------------------------

export const label = (profile: Profile, f: number): string => profile.funcs.label(f);
export const path = (profile: Profile, f: number): string => profile.funcs.path(f);
/** "short/path.py:12"; with `line` > 0 that line in place of the function's first one. */
export function location(profile: Profile, f: number, line = 0): string {
	if (!(f >= 0) || profile.funcs.kind[f] === KIND.THREAD) return '';
	if (line > 0) {
		const file = profile.strings[profile.funcs.short[f]];
		return file && !file.startsWith('<') ? `${file}:${line}` : file;
	}
	return profile.funcs.location(f);
}

const modules = new WeakMap<Profile, string[]>();
function moduleName(profile: Profile, f: number): string {
	const { funcs, strings } = profile;
	const full = funcs.path(f);
	const frozen = /^<frozen ([^>.]+)/.exec(full);
	if (frozen) return frozen[1];
	if (!full || full[0] === '<') return full;
	const packaged = /[/\\](?:site|dist)-packages[/\\]([^/\\]+)/.exec(full);
	const standard = packaged ?? (funcs.flags[f] & FLAG.APP ? null : /[/\\]lib[^/\\]*[/\\](?:python|pypy)[\d.]+[/\\]([^/\\]+)/.exec(full));
	let name = standard ? standard[1] : '';
	if (!name) {
		const pieces = strings[funcs.short[f]].split(/[/\\]/).filter((piece) => piece && piece !== '..' && piece !== '.');
		name = pieces[0] ?? full;
	}
	return name.replace(/\.(?:pyc?|pyx|(?:cpython-|abi3)?[^.]*\.?so)$/, '') || name;
}
/** The top-level module or package of a function, by its file: what "hide module" hides. */
export function moduleOf(profile: Profile, f: number): string {
	if (!(f >= 0)) return '';
	let names = modules.get(profile);
	if (!names) modules.set(profile, (names = []));
	return (names[f] ??= moduleName(profile, f));
}

/** Everything is shown. */
export const NO_FILTERS: Filters = {
	collapse: 'off',
	hide: '',
	show: '',
	importlib: false,
	tracebackhide: false,
	profiler: false,
	threshold: 0,
	selfRows: false,
	mergeLines: true,
	mergeRecursion: false,
	hiddenFuncs: [],
	hiddenModules: [],
	match: null,
	focusFunc: null,
	focusNode: null,
	invert: false,
};
