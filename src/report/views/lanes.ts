// SPDX-License-Identifier: BSD-3-Clause
// The timeline on a canvas: one lane per thread, time to the right, stack depth downwards. A lane is
// asked only for what is in sight, at the width it has; gaps are hatched and never bridged.
import type { Box, Profile, Thread, TimelineIndex } from '../model/types';
import { location } from '../model/types';
import { threadName } from '../ui/overview';
import { duration, integer, KIND_NAMES, wholePercent } from '../ui/format';
import { clamp, Fitter, hatch, niceStep, type Palette, palette, Reader, Surface, Tip } from './canvas';
import { Columns } from './columns';
import { labels } from './picture';

const RULER = 24;
const HEAD = 20;
const STRIP = 3;
const ROW = 15;
const GAP = 8;
const LABEL_FROM = 24;
const BUILD_MS = 12;
const RESOLUTION = 0.75; // buckets per pixel: a box and the rest of a bucket stay below two per pixel
const MATCH = 9;
const STATE_NAMES = ['unknown', 'on CPU', 'waiting', 'waiting for the GIL'];

export interface LaneInput {
	profile: Profile;
	/** Threads in the order drawn. */
	threads: Thread[];
	processes: boolean; // several: name them
	span: [number, number];
	range: [number, number] | null;
	rows: number; // most rows of a lane
	match: Uint8Array | null; // per function
	selected: { func: number; node: number } | null;
}

export interface LaneHearing {
	range(range: [number, number] | null): void;
	select(func: number, node: number): void;
}

interface Lane {
	thread: Thread;
	index: TimelineIndex | null;
	top: number; // px in the whole picture
	rows: number;
}

interface Focus {
	lane: number;
	box: Box;
}

export class Lanes {
	readonly surface: Surface;
	private readonly scroller: HTMLElement;
	private readonly spacer: HTMLElement;
	private readonly reader: Reader;
	private readonly tip: Tip;
	private input: LaneInput | null = null;
	private lanes: Lane[] = [];
	private from = 0;
	private to = 1;
	private trail: [number, number][] = [];
	private focused: Focus | null = null;
	private fitter: Fitter | null = null;
	private font = '';
	private drawn: { lane: number; top: number; boxes: Box[] }[] = [];
	private drag: { kind: 'range' | 'pan'; x: number; y: number; from: number; to: number; top: number; start: number; moved: boolean } | null = null;
	private draft: [number, number] | null = null;
	private matchNodes: Int32Array | null = null;

	constructor(
		private readonly host: HTMLElement,
		private readonly indexOf: (thread: Thread) => TimelineIndex,
		private readonly hearing: LaneHearing,
	) {
		this.scroller = document.createElement('div');
		this.scroller.className = 'flame-scroll';
		this.spacer = document.createElement('div');
		this.scroller.append(this.spacer);
		host.append(this.scroller);
		this.reader = new Reader(
			host,
			'Timeline. Arrow keys move between frames, Enter zooms, r selects the time of the frame, z zooms to the selected time, Escape clears it.',
		);
		this.tip = new Tip(host);
		this.surface = new Surface(
			this.scroller,
			() => this.paint(),
			() => this.sized(),
		);
		const canvas = this.surface.canvas;
		this.scroller.addEventListener('scroll', () => {
			this.tip.hide();
			this.surface.request();
		});
		this.scroller.addEventListener('wheel', this.onWheel, { passive: false });
		canvas.addEventListener('pointerdown', this.onDown);
		canvas.addEventListener('pointermove', this.onMove);
		canvas.addEventListener('pointerup', this.onUp);
		canvas.addEventListener('pointercancel', () => (this.drag = null));
		canvas.addEventListener('pointerleave', () => this.tip.hide());
		canvas.addEventListener('dblclick', this.onDouble);
	}

	destroy(): void {
		this.surface.destroy();
		this.reader.destroy();
		this.tip.destroy();
		this.scroller.remove();
	}

	focus(): void {
		this.host.focus({ preventScroll: true });
	}

	set(input: LaneInput): void {
		const before = this.input;
		if (!before || before.span[0] !== input.span[0] || before.span[1] !== input.span[1]) {
			[this.from, this.to] = input.span;
			this.trail = [];
		}
		if (!before || before.match !== input.match) {
			this.matchNodes = null;
		}
		if (!before || before.threads.length !== input.threads.length || before.threads.some((thread, at) => thread !== input.threads[at])) {
			this.lanes = input.threads.map((thread) => ({ thread, index: null, top: 0, rows: 1 }));
			this.focused = null;
		}
		this.input = input;
		this.place();
		this.surface.request();
	}

	/** Stretch of time in sight. */
	get sight(): [number, number] {
		return [this.from, this.to];
	}

	private place(): void {
		let top = RULER;
		for (const lane of this.lanes) {
			lane.top = top;
			lane.rows = lane.index ? Math.max(1, Math.min(lane.index.depth, this.input?.rows || 1)) : 1;
			top += HEAD + STRIP + lane.rows * ROW + GAP;
		}
		this.spacer.style.height = `${Math.max(0, Math.min(16_000_000, top) - (this.surface?.height || 0))}px`;
	}

	private sized(): void {
		if (this.input) {
			this.place();
		}
	}

	private xOf(t: number): number {
		return ((t - this.from) / (this.to - this.from)) * this.surface.width;
	}

	private timeAt(x: number): number {
		return this.from + (x / this.surface.width) * (this.to - this.from);
	}

	private look(from: number, to: number, remember: boolean): void {
		const [low, high] = (this.input as LaneInput).span;
		const wide = clamp(to - from, (high - low) * 1e-9, high - low);
		const left = clamp(from, low, Math.max(low, high - wide));
		if (remember) {
			this.trail.push([this.from, this.to]);
		}
		this.from = left;
		this.to = left + wide;
		this.tip.hide();
		this.surface.request();
	}

	private paint(): void {
		const { input, surface } = this;
		if (!input) {
			return;
		}
		const { context, width, height } = surface;
		const colours = palette();
		const font = `12px ${colours.font}`;
		context.font = font;
		context.textBaseline = 'middle';
		if (!this.fitter || this.font !== font) {
			this.font = font;
			this.fitter = new Fitter((text) => {
				context.font = font;
				return context.measureText(text).width;
			});
		}
		this.drawn = [];
		const began = performance.now();
		let placed = false;
		for (let at = 0; at < this.lanes.length; at++) {
			const lane = this.lanes[at];
			const y = lane.top - this.scroller.scrollTop;
			if (y > height) {
				break;
			}
			if (y + HEAD + STRIP + lane.rows * ROW < RULER) {
				continue;
			}
			if (!lane.index) {
				if (performance.now() - began > BUILD_MS && placed) {
					surface.request();
					context.fillStyle = colours.muted;
					context.fillText('\u2026', 8, y + HEAD / 2);
					continue;
				}
				lane.index = this.indexOf(lane.thread);
				placed = true;
			}
		}
		if (placed) {
			this.place();
		}
		for (let at = 0; at < this.lanes.length; at++) {
			const lane = this.lanes[at];
			const y = lane.top - this.scroller.scrollTop;
			if (lane.index && y < height && y + HEAD + STRIP + lane.rows * ROW > RULER) {
				this.paintLane(at, y, colours);
			}
		}
		this.paintRange(colours);
		this.paintRuler(colours, width);
	}

	private paintLane(at: number, top: number, colours: Palette): void {
		const { context, width, height } = this.surface;
		const { profile, match, selected, processes } = this.input as LaneInput;
		const lane = this.lanes[at];
		const index = lane.index as TimelineIndex;
		const fitter = this.fitter as Fitter;
		const name = labels(profile);
		const { thread } = lane;
		const owner = processes && thread.process >= 0 ? `${profile.processes[thread.process].pid} \u203a ` : '';
		const share = profile.meta.duration > 0 ? ` \u00b7 CPU ${wholePercent(thread.cpu / profile.meta.duration)}` : '';
		context.fillStyle = colours.text;
		context.fillText(fitter.fit(`${owner}${threadName(thread)} \u00b7 ${integer(thread.samples)} samples${share}`, width - 16), 8, top + HEAD / 2);
		const strip = top + HEAD;
		for (const { begin, end, state } of index.states(this.from, this.to, width)) {
			const left = this.xOf(begin);
			context.fillStyle = colours.states[state & 3];
			context.fillRect(left, strip, Math.max(0.5, this.xOf(end) - left), STRIP);
		}
		const first = Math.max(0, Math.floor((RULER - strip - STRIP) / ROW));
		const last = Math.min(lane.rows, Math.ceil((height - strip - STRIP) / ROW));
		for (const { begin, end } of index.gaps(this.from, this.to, width)) {
			const left = this.xOf(begin);
			context.fillStyle = hatch(context, colours.border);
			context.fillRect(left, strip, Math.max(1, this.xOf(end) - left), STRIP + lane.rows * ROW);
		}
		if (last <= first) {
			return;
		}
		const boxes = index.query(this.from, this.to, width * RESOLUTION, first, last - 1);
		const kinds = profile.funcs.kind;
		const wide: Box[] = [];
		const sorted: Box[][] = [];
		/* what is narrow goes through a picture one pixel high per row: its cost is the pixels, not the boxes */
		const narrow = new Columns(width, this.surface.ratio, last - first);
		const scale = width / (this.to - this.from);
		for (const box of boxes) {
			const found = match !== null && box.func >= 0 && match[box.func] === 1;
			const key = found ? MATCH : box.func >= 0 ? kinds[box.func] : 7;
			const left = Math.max(0, (box.begin - this.from) * scale);
			const right = Math.min(width, (box.end - this.from) * scale);
			if (right - left < 4 || box.merged > 1) {
				narrow.put(box.depth - first, left, right, (found ? colours.match : colours.kinds[key]).strong);
			} else {
				(sorted[key] ||= []).push(box);
			}
		}
		narrow.draw(context, strip + STRIP + first * ROW, ROW);
		sorted.forEach((group, key) => {
			const tone = key === MATCH ? colours.match : colours.kinds[key];
			context.fillStyle = tone.fill;
			for (const box of group) {
				const left = Math.max(0, this.xOf(box.begin));
				const right = Math.min(width, this.xOf(box.end));
				context.fillRect(left, strip + STRIP + box.depth * ROW, right - left - 1, ROW - 1);
				if (right - left >= LABEL_FROM) {
					wide.push(box);
				}
			}
			if (tone.hatched) {
				context.globalAlpha = 0.35;
				context.fillStyle = hatch(context, tone.strong);
				for (const box of group) {
					const left = Math.max(0, this.xOf(box.begin));
					context.fillRect(left, strip + STRIP + box.depth * ROW, Math.min(width, this.xOf(box.end)) - left - 1, ROW - 1);
				}
				context.globalAlpha = 1;
			}
			if (colours.outline) {
				context.strokeStyle = tone.strong;
				context.lineWidth = 1;
				for (const box of group) {
					const left = Math.max(0, this.xOf(box.begin));
					context.strokeRect(left + 0.5, strip + STRIP + box.depth * ROW + 0.5, Math.max(1, Math.min(width, this.xOf(box.end)) - left - 2), ROW - 2);
				}
			}
		});
		context.fillStyle = colours.text;
		for (const box of wide) {
			const left = Math.max(0, this.xOf(box.begin));
			const found = match !== null && box.func >= 0 && match[box.func] === 1;
			context.fillStyle = found ? colours.match.text : colours.text;
			context.fillText(fitter.fit(name(box.func), Math.min(width, this.xOf(box.end)) - left - 6), left + 3, strip + STRIP + box.depth * ROW + ROW / 2);
		}
		context.lineWidth = 2;
		this.drawn.push({ lane: at, top: strip + STRIP, boxes });
		for (const box of boxes) {
			const y = strip + STRIP + box.depth * ROW;
			const focus = this.focused;
			const chosen = focus && focus.lane === at && focus.box.depth === box.depth && focus.box.begin >= box.begin && focus.box.begin < box.end;
			const same = selected && box.func === selected.func;
			const found = match !== null && box.func >= 0 && match[box.func] === 1;
			if (chosen || same || found) {
				const left = Math.max(0, this.xOf(box.begin));
				const right = Math.min(width, this.xOf(box.end));
				if (right - left >= 4 || chosen) {
					context.strokeStyle = chosen ? colours.text : same ? colours.accent : colours.matchEdge;
					context.strokeRect(left + 1, y + 1, Math.max(1, right - left - 3), ROW - 3);
				}
			}
		}
	}

	private paintRange(colours: Palette): void {
		const { context, width, height } = this.surface;
		const range = this.draft || this.input?.range;
		if (!range) {
			return;
		}
		const left = clamp(this.xOf(range[0]), 0, width);
		const right = clamp(this.xOf(range[1]), 0, width);
		context.globalAlpha = 0.6;
		context.fillStyle = colours.bg;
		context.fillRect(0, RULER, left, height);
		context.fillRect(right, RULER, width - right, height);
		context.globalAlpha = 1;
		context.fillStyle = colours.accent;
		context.fillRect(left - 1, 0, 2, height);
		context.fillRect(right - 1, 0, 2, height);
	}

	private paintRuler(colours: Palette, width: number): void {
		const { context } = this.surface;
		context.fillStyle = colours.surface;
		context.fillRect(0, 0, width, RULER);
		const range = this.draft || this.input?.range;
		if (range) {
			const left = clamp(this.xOf(range[0]), 0, width);
			context.fillStyle = colours.selected;
			context.fillRect(left, 0, clamp(this.xOf(range[1]), 0, width) - left, RULER);
		}
		const step = niceStep(((this.to - this.from) * 90) / width);
		const digits = Math.max(0, Math.min(9, -Math.floor(Math.log10(step) + 1e-9)));
		context.fillStyle = colours.muted;
		for (let tick = Math.ceil(this.from / step - 1e-9); tick * step <= this.to; tick++) {
			const x = this.xOf(tick * step);
			context.fillRect(Math.round(x), RULER - 6, 1, 6);
			context.fillText(`${(tick * step).toFixed(digits)} s`, x + 4, RULER / 2);
		}
		context.fillRect(0, RULER - 1, width, 1);
	}

	private hit(x: number, y: number): { lane: number; y: number; box: Box } | null {
		if (y < RULER) {
			return null;
		}
		let best: { lane: number; y: number; box: Box } | null = null;
		for (const { lane, top, boxes } of this.drawn) {
			const depth = Math.floor((y - top) / ROW);
			if (depth < 0 || depth >= this.lanes[lane].rows) {
				continue;
			}
			for (const box of boxes) {
				if (box.depth === depth && x >= this.xOf(box.begin) && x < Math.max(this.xOf(box.end), this.xOf(box.begin) + 1)) {
					best = { lane, y: top + depth * ROW, box };
				}
			}
		}
		return best;
	}

	private point(event: MouseEvent): [number, number] {
		const rect = this.surface.canvas.getBoundingClientRect();
		return [event.clientX - rect.left, event.clientY - rect.top];
	}

	private onWheel = (event: WheelEvent): void => {
		if (!this.input) {
			return;
		}
		const [x] = this.point(event);
		if (event.ctrlKey || event.metaKey) {
			event.preventDefault();
			const factor = Math.exp(clamp(event.deltaY, -200, 200) * 0.004);
			const pivot = this.timeAt(x);
			this.look(pivot - (pivot - this.from) * factor, pivot + (this.to - pivot) * factor, false);
		} else if (event.deltaX || event.shiftKey) {
			event.preventDefault();
			const move = ((event.deltaX || event.deltaY) / this.surface.width) * (this.to - this.from);
			this.look(this.from + move, this.to + move, false);
		}
	};

	private onDown = (event: PointerEvent): void => {
		if (event.button !== 0 || !this.input) {
			return;
		}
		this.focus();
		this.surface.canvas.setPointerCapture(event.pointerId);
		const [x, y] = this.point(event);
		this.drag = { kind: y < RULER ? 'range' : 'pan', x, y, from: this.from, to: this.to, top: this.scroller.scrollTop, start: this.timeAt(x), moved: false };
	};

	private onMove = (event: PointerEvent): void => {
		const [x, y] = this.point(event);
		const { drag } = this;
		this.surface.canvas.style.cursor = y < RULER || drag?.kind === 'range' ? 'col-resize' : 'default';
		if (drag) {
			if (!drag.moved && Math.abs(x - drag.x) + Math.abs(y - drag.y) < 4) {
				return;
			}
			drag.moved = true;
			if (drag.kind === 'range') {
				const end = this.timeAt(clamp(x, 0, this.surface.width));
				this.draft = drag.start < end ? [drag.start, end] : [end, drag.start];
				this.surface.request();
			} else {
				const move = ((drag.x - x) / this.surface.width) * (drag.to - drag.from);
				this.scroller.scrollTop = drag.top + drag.y - y;
				this.look(drag.from + move, drag.to + move, false);
			}
			return;
		}
		const hit = this.hit(x, y);
		if (!hit) {
			this.tip.hide();
			return;
		}
		this.tip.show(() => this.lines(hit.lane, hit.box), { y: hit.y, height: ROW }, x, this.surface);
	};

	private onUp = (event: PointerEvent): void => {
		const { drag, draft } = this;
		this.drag = null;
		this.draft = null;
		const [x, y] = this.point(event);
		if (drag?.moved) {
			if (drag.kind === 'range' && draft) {
				this.hearing.range(draft);
			}
			return;
		}
		if (drag?.kind === 'range') {
			this.hearing.range(null);
			return;
		}
		const hit = this.hit(x, y);
		if (hit) {
			this.choose(hit.lane, hit.box);
		}
	};

	private onDouble = (event: MouseEvent): void => {
		const hit = this.hit(...this.point(event));
		if (hit) {
			this.look(hit.box.begin, hit.box.end, true);
		}
	};

	private lines(at: number, box: Box): [string, string][] {
		const { profile } = this.input as LaneInput;
		const lane = this.lanes[at];
		const run = lane.index?.at((box.begin + box.end) / 2) ?? -1;
		const state = run >= 0 && lane.thread.state ? STATE_NAMES[lane.thread.state[run] & 3] : '';
		const lines: [string, string][] = [['', labels(profile)(box.func)]];
		const place = location(profile, box.func, box.node >= 0 && box.node < profile.nodes.n ? profile.nodes.line[box.node] : 0);
		if (place) {
			lines.push(['', place]);
		}
		if (box.merged > 1) {
			lines.push(['', `mostly; ${integer(box.merged)} boxes too small to draw`]);
		}
		lines.push(['from', `${box.begin.toFixed(6)} s`], ['for', duration(box.end - box.begin)], ['thread', threadName(lane.thread)]);
		if (box.func >= 0) {
			lines.push(['kind', KIND_NAMES[profile.funcs.kind[box.func]]]);
		}
		if (state) {
			lines.push(['state', state]);
		}
		return lines;
	}

	private choose(lane: number, box: Box): void {
		this.focused = { lane, box };
		const target = this.lanes[lane];
		const y = target.top + HEAD + STRIP + box.depth * ROW - this.scroller.scrollTop;
		if (y < RULER || y + ROW > this.surface.height) {
			this.scroller.scrollTop += y - this.surface.height / 2;
		}
		if (box.end <= this.from || box.begin >= this.to) {
			const half = (this.to - this.from) / 2;
			const middle = (box.begin + box.end) / 2;
			this.look(middle - half, middle + half, false);
		}
		const { profile } = this.input as LaneInput;
		const text = `${labels(profile)(box.func)}, from ${box.begin.toFixed(3)} s for ${duration(box.end - box.begin)}, level ${box.depth + 1}, ${threadName(target.thread)}`;
		this.reader.focus(text, { x: clamp(this.xOf(box.begin), 0, this.surface.width), y, width: 1, height: ROW });
		if (box.func >= 0) {
			this.hearing.select(box.func, box.node < profile.nodes.n ? box.node : -1);
		}
		this.surface.request();
	}

	/** Boxes of one depth around what is in sight. */
	private level(lane: number, depth: number): Box[] {
		const index = this.lanes[lane]?.index;
		if (!index || depth < 0 || depth >= index.depth) {
			return [];
		}
		return index.query(this.from, this.to, this.surface.width, depth, depth).sort((a, b) => a.begin - b.begin);
	}

	private around(lane: number, depth: number, t: number): Box | null {
		return this.level(lane, depth).find((box) => t >= box.begin && t < box.end) || null;
	}

	key(event: KeyboardEvent): boolean {
		const { input } = this;
		if (!input || event.altKey || event.ctrlKey || event.metaKey) {
			return false;
		}
		const focus = this.focused;
		const go = (lane: number, box: Box | null | undefined): true => {
			if (box) {
				this.choose(lane, box);
			}
			return true;
		};
		const start = (lane: number): Box | undefined => this.level(lane, 0)[0];
		switch (event.key) {
			case 'ArrowLeft':
			case 'ArrowRight': {
				if (!focus) {
					return go(0, start(0));
				}
				const forward = event.key === 'ArrowRight';
				let row = this.level(focus.lane, focus.box.depth);
				const pick = (): Box | undefined =>
					forward ? row.find((box) => box.begin >= focus.box.end - 1e-9 && box.begin > focus.box.begin) : row.filter((box) => box.end <= focus.box.begin + 1e-9).pop();
				let next = pick();
				if (!next && (forward ? this.to < input.span[1] : this.from > input.span[0])) {
					const half = ((this.to - this.from) / 2) * (forward ? 1 : -1);
					this.look(this.from + half, this.to + half, false);
					row = this.level(focus.lane, focus.box.depth);
					next = pick();
				}
				return go(focus.lane, next);
			}
			case 'ArrowUp':
			case 'ArrowDown': {
				if (!focus) {
					return go(0, start(0));
				}
				const t = clamp((focus.box.begin + focus.box.end) / 2, this.from, this.to);
				const step = event.key === 'ArrowDown' ? 1 : -1;
				const near = this.around(focus.lane, focus.box.depth + step, t);
				if (near) {
					return go(focus.lane, near);
				}
				const below = this.level(focus.lane, focus.box.depth + 1).find((box) => box.begin >= focus.box.begin && box.end <= focus.box.end + 1e-9);
				if (step > 0 && below) {
					return go(focus.lane, below);
				}
				const lane = focus.lane + step;
				return go(lane, this.around(lane, 0, t) || start(lane));
			}
			case 'Home':
				return go(0, start(0));
			case 'PageDown':
			case 'PageUp':
				this.scroller.scrollTop += (event.key === 'PageDown' ? 1 : -1) * (this.surface.height - RULER - HEAD);
				return true;
			case 'Enter':
				if (focus) {
					this.look(focus.box.begin, focus.box.end, true);
				}
				return true;
			case 'Backspace': {
				const view = this.trail.pop();
				this.look(...(view || input.span), false);
				return true;
			}
			case '0':
				this.trail = [];
				this.look(...input.span, false);
				return true;
			case '+':
			case '=':
			case '-': {
				const quarter = (this.to - this.from) / 4;
				const sign = event.key === '-' ? -2 : 1;
				this.look(this.from + quarter * sign, this.to - quarter * sign, false);
				return true;
			}
			case 'z':
				if (input.range) {
					this.look(input.range[0], input.range[1], true);
				}
				return true;
			case 'r':
				if (focus) {
					this.hearing.range([focus.box.begin, focus.box.end]);
				}
				return true;
			case 'Escape':
				if (!input.range) {
					return false;
				}
				this.hearing.range(null);
				return true;
			default:
				return false;
		}
	}

	/** Depth at which a function that matches first stands above each payload node, or -1. */
	private matching(): Int32Array | null {
		const { profile, match } = this.input as LaneInput;
		if (!match) {
			return null;
		}
		if (!this.matchNodes) {
			const { nodes } = profile;
			this.matchNodes = new Int32Array(nodes.n).fill(-1);
			for (let node = 0; node < nodes.n; node++) {
				const above = nodes.parent[node];
				this.matchNodes[node] = above >= 0 && this.matchNodes[above] >= 0 ? this.matchNodes[above] : match[nodes.func[node]] ? node : -1;
			}
		}
		return this.matchNodes;
	}

	/** The next stretch of time, then the next thread, in which something matches the search. */
	step(direction: 1 | -1): boolean {
		const { input } = this;
		const matching = input ? this.matching() : null;
		if (!input || !matching) {
			return false;
		}
		const { profile } = input;
		const start = this.focused ? this.focused.lane : 0;
		for (let tried = 0; tried <= this.lanes.length; tried++) {
			const at = (start + tried * direction + this.lanes.length * (tried + 1)) % this.lanes.length;
			const { thread } = this.lanes[at];
			let run = direction > 0 ? 0 : thread.runs - 1;
			let last = -1;
			if (tried === 0 && this.focused) {
				const index = this.lanes[at].index;
				const here = index ? index.at(this.focused.box.begin + 1e-9) : -1;
				if (here >= 0) {
					run = here;
					last = thread.node[here] < profile.nodes.n ? matching[thread.node[here]] : -1;
				}
			}
			for (; run >= 0 && run < thread.runs; run += direction) {
				const node = thread.node[run];
				const found = node < profile.nodes.n ? matching[node] : -1;
				if (found >= 0 && found !== last) {
					let depth = 0;
					for (let above = profile.nodes.parent[found]; above >= 0; above = profile.nodes.parent[above]) {
						depth++;
					}
					this.lanes[at].index ||= this.indexOf(thread);
					this.choose(at, { depth, begin: thread.begin[run], end: thread.begin[run] + thread.dur[run], func: profile.nodes.func[found], node: found, merged: 1, state: 0 });
					return true;
				}
				last = found;
			}
		}
		return false;
	}
}
