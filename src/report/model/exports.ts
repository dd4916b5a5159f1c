// SPDX-License-Identifier: BSD-3-Clause
// What leaves the page: sessions, tables and stacks as text. Large ones come as pieces, because one text of
// all would be longer than the engine allows: new Blob(pieces).
import { type FunctionRow, FLAG, KIND, type Profile, type Thread, location } from './types';

/** ASCII only, as Python's json writes it. */
function quoted(text: string): string {
	return JSON.stringify(text).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/** A frame as pyisession has it: function NUL path NUL line, then attributes behind U+0001. */
function frameInfo(profile: Profile, f: number, line: number): string {
	const { funcs, strings } = profile;
	if (funcs.flags[f] & FLAG.LEAF) return strings[funcs.name[f]];
	let text = `${strings[funcs.name[f]]}\0${funcs.path(f)}\0${funcs.line[f]}`;
	if (funcs.cls[f]) text += `\u0001c${strings[funcs.cls[f]]}`;
	if (line > 0 && funcs.kind[f] !== KIND.NATIVE) text += `\u0001l${line}`;
	if (funcs.flags[f] & FLAG.TRACEBACKHIDE) text += '\u0001h1';
	return text;
}

const threadInfo = (profile: Profile, thread: Thread): string => {
	const { funcs, strings } = profile;
	if (funcs.kind[thread.func] !== KIND.THREAD) return '';
	return `${strings[funcs.name[thread.func]]}\0${funcs.path(thread.func)}\0${thread.ident}`;
};

/** Quoted frames of a node's stack, outermost first, made from its caller's. */
class Stacks {
	private readonly infos = new Map<number, string>();
	constructor(private readonly profile: Profile) {}

	private info(node: number): string {
		const { nodes } = this.profile;
		const key = nodes.func[node] * 2 ** 31 + nodes.line[node];
		let text = this.infos.get(key);
		if (text === undefined) this.infos.set(key, (text = quoted(frameInfo(this.profile, nodes.func[node], nodes.line[node]))));
		return text;
	}

	of(node: number, head: string): string {
		const { nodes } = this.profile;
		const frames: string[] = [];
		if (node < nodes.n) for (let at = node; at >= 0; at = nodes.parent[at]) frames.push(this.info(at));
		if (head) frames.push(head);
		return frames.reverse().join(', ');
	}
}

const PIECE = 1 << 20;

/** The session as upstream's file format, one record per run, threads one after the other. */
export function pyisession(profile: Profile): string[] {
	const { meta } = profile;
	const pieces: string[] = [];
	let text = '';
	const put = (more: string) => {
		text += more;
		if (text.length > PIECE) {
			pieces.push(text);
			text = '';
		}
	};
	const interval = meta.interval_us / 1e6;
	// The start stack must match the trimmed root, or reports would show another one.
	const heads = profile.threads.map((thread) => threadInfo(profile, thread));
	const start: string[] = heads.length === 1 && heads[0] ? [quoted(heads[0])] : [];
	if (start.length && meta.stem >= 2) {
		const roots = new Set<number>();
		let first = -1;
		for (let node = 0; node < profile.nodes.n; node++)
			if (profile.nodes.parent[node] < 0) {
				roots.add(profile.funcs.ident[profile.nodes.func[node]]);
				if (first < 0) first = node;
			}
		if (roots.size === 1) start.push(quoted(frameInfo(profile, profile.nodes.func[first], 0)));
	}
	put(
		`{"start_time": ${meta.start}, "duration": ${meta.duration}, "min_interval": ${interval}, "max_interval": ${interval}, ` +
			`"sample_count": ${meta.samples}, "start_call_stack": [${start.join(', ')}], "target_description": ${quoted(meta.command)}, ` +
			`"cpu_time": ${meta.cpu_time}, "sys_path": [], "sys_prefixes": [${meta.sysprefixes.map(quoted).join(', ')}], "frame_records": [`,
	);
	const stacks = new Stacks(profile);
	let separator = '';
	profile.threads.forEach((thread, i) => {
		const head = heads[i] ? quoted(heads[i]) : '';
		for (let run = 0; run < thread.runs; run++) {
			put(`${separator}[[${stacks.of(thread.node[run], head)}], ${thread.dur[run]}]`);
			separator = ', ';
		}
	});
	put(']}');
	pieces.push(text);
	return pieces;
}

/** speedscope's evented format, one profile per thread. */
export function speedscope(profile: Profile): string[] {
	const { funcs, nodes, strings, meta } = profile;
	const pieces: string[] = [];
	let text = '';
	const put = (more: string) => {
		text += more;
		if (text.length > PIECE) {
			pieces.push(text);
			text = '';
		}
	};
	put('{"$schema": "https://www.speedscope.app/file-format-schema.json", "shared": {"frames": [');
	for (let f = 0; f < funcs.n; f++) {
		const file = funcs.path(f);
		put(`${f ? ', ' : ''}{"name": ${quoted(funcs.label(f))}${file ? `, "file": ${quoted(file)}` : ''}${funcs.line[f] ? `, "line": ${funcs.line[f]}` : ''}}`);
	}
	put(']}, "profiles": [');
	profile.threads.forEach((thread, number) => {
		const end = thread.runs ? thread.begin[thread.runs - 1] + thread.dur[thread.runs - 1] : thread.start;
		const name = strings[funcs.name[thread.func]] && thread.name ? thread.name : meta.program;
		put(`${number ? ', ' : ''}{"type": "evented", "name": ${quoted(name)}, "unit": "seconds", "startValue": ${thread.start}, "endValue": ${end}, "events": [`);
		let open: number[] = [];
		let separator = '';
		let clock = thread.start;
		const event = (type: string, f: number, at: number) => {
			put(`${separator}{"type": "${type}", "frame": ${f}, "at": ${at}}`);
			separator = ', ';
		};
		for (let run = 0; run < thread.runs; run++) {
			const stack: number[] = [];
			if (thread.node[run] < nodes.n) for (let at = thread.node[run]; at >= 0; at = nodes.parent[at]) stack.push(nodes.func[at]);
			stack.reverse();
			let same = 0;
			// Across a gap nothing stays open.
			if (thread.begin[run] - clock < 2e-6) while (same < open.length && same < stack.length && open[same] === stack[same]) same++;
			for (let i = open.length - 1; i >= same; i--) event('C', open[i], clock);
			for (let i = same; i < stack.length; i++) event('O', stack[i], thread.begin[run]);
			open = stack;
			clock = thread.begin[run] + thread.dur[run];
		}
		for (let i = open.length - 1; i >= 0; i--) event('C', open[i], clock);
		put(']}');
	});
	put(`], "name": ${quoted(meta.command)}, "activeProfileIndex": 0, "exporter": "pyinstrument"}`);
	pieces.push(text);
	return pieces;
}

/** Spreadsheets take a cell that begins with = + - @ for a formula: names come from the profiled program. */
function cell(value: string | number): string {
	if (typeof value === 'number') return String(+value.toFixed(6));
	const safe = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
	return /[",\r\n]/.test(safe) ? `"${safe.replace(/"/g, '""')}"` : safe;
}

/** The function table. */
export function csv(profile: Profile, rows: FunctionRow[]): string {
	const diff = rows.some((row) => row.base !== undefined);
	const head = ['self_s', 'total_s', 'samples', 'waiting_s', 'function', 'file', 'line'];
	if (diff) head.push('base_self_s', 'base_total_s', 'base_samples');
	const lines = [head.join(',')];
	for (const row of rows) {
		const cells: (string | number)[] = [row.self, row.total, row.count, row.waiting, row.key, profile.funcs.path(row.func), row.line || profile.funcs.line[row.func]];
		if (diff) cells.push(row.baseSelf ?? 0, row.base ?? 0, row.baseCount ?? 0);
		lines.push(cells.map(cell).join(','));
	}
	return `${lines.join('\r\n')}\r\n`;
}

/** A node's stack, outermost first, one frame a line. */
export function stackText(profile: Profile, node: number): string {
	const { nodes } = profile;
	const lines: string[] = [];
	if (node < nodes.n)
		for (let at = node; at >= 0; at = nodes.parent[at]) {
			const f = nodes.func[at];
			const where = location(profile, f, nodes.line[at]);
			lines.push(where ? `${profile.funcs.label(f)}  ${where}` : profile.funcs.label(f));
		}
	return lines.length ? `${lines.reverse().join('\n')}\n` : '';
}
