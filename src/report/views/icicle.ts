// SPDX-License-Identifier: BSD-3-Clause
// A tree drawn as boxes, on a canvas: the flame view and the two small ones beside the function table.
// Zoom is a stretch of seconds; a frame zoomed to fills the width and its ancestors stay above it, dimmed.
// Gets boxes, texts and colours from outside, gives back what was selected and zoomed to.
import { clamp, Fitter, type Palette, palette, Reader, reducedMotion, Surface, Tip, type Tone } from './canvas';
import { paintFills } from './icicle_paint';
import { type Drawn, drawnBoxes, hitBox, type Layout, newDrawn } from './layout';

export const ROW = 18;
export const LABEL_FROM = 24; // px
const ANIMATION = 140; // ms

export interface Picture {
	layout: Layout;
	/** Index into tones, per box. */
	tone: Uint8Array;
	tones: (colours: Palette) => Tone[];
	/** 1 for boxes that match the search, or null without one. */
	match: Uint8Array | null;
	label: (box: number) => string;
	place: (box: number) => string;
	/** Lines of the tooltip; a run is `run` siblings from `box` on. */
	tip: (box: number, run: number) => [string, string][];
	/** One sentence for a reader without eyes. */
	spoken: (box: number) => string;
}

export interface Hearing {
	select?: (box: number) => void;
	zoomed?: (box: number) => void;
	/** Opens a box that stands for hidden frames; false: there is nothing to open. */
	open?: (box: number) => boolean;
	menu?: (box: number, x: number, y: number) => void;
}

interface View {
	from: number;
	to: number;
	box: number;
}

export class Icicle {
	readonly surface: Surface;
	private readonly scroller: HTMLElement;
	private readonly spacer: HTMLElement;
	private readonly hover: HTMLElement;
	private readonly reader: Reader;
	private readonly tip: Tip;
	private fitter: Fitter | null = null;
	private font = '';
	private picture: Picture | null = null;
	private readonly drawn: Drawn = newDrawn();
	private view: View = { from: 0, to: 1, box: 0 };
	private trail: View[] = [];
	private animation = 0;
	private flipped = false;
	private selected = -1;
	private hits: number[] | null = null;
	private readonly pointers = new Map<number, { x: number; y: number }>();
	private drag: { x: number; y: number; from: number; to: number; top: number; moved: boolean; gap: number } | null = null;

	constructor(
		private readonly host: HTMLElement,
		label: string,
		private readonly hearing: Hearing,
	) {
		this.scroller = document.createElement('div');
		this.scroller.className = 'flame-scroll';
		this.spacer = document.createElement('div');
		this.scroller.append(this.spacer);
		this.hover = document.createElement('div');
		this.hover.className = 'flame-hover';
		this.hover.hidden = true;
		host.append(this.scroller, this.hover);
		this.reader = new Reader(host, label);
		this.tip = new Tip(host);
		this.surface = new Surface(
			this.scroller,
			() => this.paint(),
			() => this.sized(),
		);
		const canvas = this.surface.canvas;
		this.scroller.addEventListener('scroll', () => {
			this.tip.hide();
			this.hover.hidden = true;
			this.surface.request();
		});
		this.scroller.addEventListener('wheel', this.onWheel, { passive: false });
		canvas.addEventListener('pointerdown', this.onDown);
		canvas.addEventListener('pointermove', this.onMove);
		canvas.addEventListener('pointerup', this.onUp);
		canvas.addEventListener('pointercancel', this.onUp);
		canvas.addEventListener('pointerleave', () => this.leave());
		canvas.addEventListener('dblclick', this.onDouble);
		canvas.addEventListener('contextmenu', this.onMenu);
	}

	destroy(): void {
		cancelAnimationFrame(this.animation);
		this.surface.destroy();
		this.reader.destroy();
		this.tip.destroy();
		this.scroller.remove();
		this.hover.remove();
	}

	focus(): void {
		this.host.focus({ preventScroll: true });
	}

	set(picture: Picture, flipped: boolean, keepView: boolean): void {
		const same = this.picture?.layout === picture.layout;
		this.picture = picture;
		this.hits = null;
		if (!same) {
			this.tip.hide();
			this.hover.hidden = true;
			this.selected = -1;
			if (!keepView || this.view.to > picture.layout.total) {
				this.view = this.whole();
			}
			this.trail = [];
		}
		const turned = this.flipped !== flipped;
		this.flipped = flipped;
		this.sized();
		if (turned || (!same && flipped)) {
			this.scroller.scrollTop = flipped ? this.scroller.scrollHeight : 0;
		}
		this.surface.request();
	}

	/** Shows a box as selected; `reveal` also brings it into sight. */
	show(box: number, reveal: boolean): void {
		if (!this.picture || box === this.selected) {
			return;
		}
		this.selected = box;
		if (box >= 0 && reveal) {
			this.reveal(box);
		}
		this.announce();
		this.surface.request();
	}

	get shown(): number {
		return this.selected;
	}

	get zoomBox(): number {
		return this.view.box;
	}

	/** Stretch in sight, in seconds from the left edge. */
	get stretch(): [number, number] {
		return [this.view.from, this.view.to];
	}

	private whole(): View {
		return { from: 0, to: this.picture?.layout.total || 1, box: 0 };
	}

	zoomTo(box: number, remember = true): void {
		const { layout } = this.picture as Picture;
		if (box < 0 || !(layout.w[box] > 0)) {
			return;
		}
		this.go({ from: layout.x[box], to: layout.x[box] + layout.w[box], box }, remember);
		this.revealDepth(layout.depth[box]);
		this.hearing.zoomed?.(box);
	}

	private zoomRun(box: number, run: number): void {
		const { layout } = this.picture as Picture;
		const last = box + run - 1;
		this.go({ from: layout.x[box], to: layout.x[last] + layout.w[last], box: layout.parent[box] }, true);
	}

	private go(target: View, remember: boolean): void {
		const start = this.view;
		if (remember && (start.from !== target.from || start.to !== target.to)) {
			this.trail.push(start);
		}
		cancelAnimationFrame(this.animation);
		this.tip.hide();
		this.hover.hidden = true;
		if (reducedMotion() || !(start.to > start.from)) {
			this.view = target;
			this.surface.request();
			return;
		}
		const began = performance.now();
		const step = (): void => {
			const part = clamp((performance.now() - began) / ANIMATION, 0, 1);
			const ease = 1 - (1 - part) ** 3;
			this.view = {
				from: start.from + (target.from - start.from) * ease,
				to: start.to + (target.to - start.to) * ease,
				box: target.box,
			};
			if (part < 1) {
				this.animation = requestAnimationFrame(step);
			} else {
				this.view = target;
			}
			this.surface.now();
		};
		this.animation = requestAnimationFrame(step);
	}

	back(): void {
		const view = this.trail.pop();
		if (view || this.view.box !== 0) {
			this.go(view || this.whole(), false);
			this.hearing.zoomed?.((view || this.whole()).box);
		}
	}

	reset(): void {
		this.trail = [];
		this.go(this.whole(), false);
		this.hearing.zoomed?.(0);
	}

	private sized(): void {
		if (!this.picture || !this.surface) {
			return;
		}
		/* browsers cap the height of an element */
		const content = Math.min(16_000_000, this.picture.layout.depths * ROW + ROW);
		this.spacer.style.height = `${Math.max(0, content - this.surface.height)}px`;
	}

	/** Pixels from the top of the canvas. */
	private yOf(depth: number): number {
		const y = depth * ROW - this.scroller.scrollTop;
		if (!this.flipped) {
			return y;
		}
		const room = Math.max(this.scroller.scrollHeight, this.surface.height);
		return room - (depth + 1) * ROW - this.scroller.scrollTop;
	}

	private depthAt(y: number): number {
		if (!this.flipped) {
			return Math.floor((y + this.scroller.scrollTop) / ROW);
		}
		const room = Math.max(this.scroller.scrollHeight, this.surface.height);
		return Math.floor((room - y - this.scroller.scrollTop) / ROW);
	}

	private xOf(seconds: number): number {
		return ((seconds - this.view.from) / (this.view.to - this.view.from)) * this.surface.width;
	}

	private revealDepth(depth: number): void {
		const y = this.yOf(depth);
		if (y < 0 || y + ROW > this.surface.height) {
			this.scroller.scrollTop += y - this.surface.height / 3;
		}
	}

	private reveal(box: number): void {
		const { layout } = this.picture as Picture;
		this.revealDepth(layout.depth[box]);
		const left = this.xOf(layout.x[box]);
		const right = this.xOf(layout.x[box] + layout.w[box]);
		if (right <= 0 || left >= this.surface.width || (right - left < 3 && layout.w[box] > 0)) {
			/* the nearest ancestor in which the box can be seen */
			let above = box;
			while (layout.parent[above] >= 0 && (layout.w[box] / layout.w[layout.parent[above]]) * this.surface.width >= 8) {
				above = layout.parent[above];
			}
			this.zoomTo(above);
		}
	}

	private announce(): void {
		const { picture, selected } = this;
		if (!picture || selected < 0) {
			this.reader.focus('');
			return;
		}
		const { layout } = picture;
		this.reader.focus(picture.spoken(selected), {
			x: clamp(this.xOf(layout.x[selected]), 0, this.surface.width),
			y: this.yOf(layout.depth[selected]),
			width: 1,
			height: ROW,
		});
	}

	private text(context: CanvasRenderingContext2D, colours: Palette): Fitter {
		const font = `12px ${colours.font}`;
		context.font = font;
		if (!this.fitter || this.font !== font) {
			this.font = font;
			this.fitter = new Fitter((text) => {
				context.font = font;
				return context.measureText(text).width;
			});
		}
		return this.fitter;
	}

	private paint(): void {
		const { picture, drawn, view, surface } = this;
		if (!picture) {
			return;
		}
		const { context, width, height } = surface;
		const { layout, match } = picture;
		const colours = palette();
		const tones = picture.tones(colours);
		const a = this.depthAt(0);
		const b = this.depthAt(height);
		drawnBoxes(layout, view.from, view.to, width, Math.max(0, Math.min(a, b)), Math.max(a, b), drawn);
		paintFills({ context, colours, tones, picture, drawn, dimBelow: layout.depth[view.box], width, yOf: (depth) => this.yOf(depth), height: ROW });
		const fitter = this.text(context, colours);
		context.textBaseline = 'middle';
		const dimBelow = layout.depth[view.box];
		const room12 = 12 * fitter.width('M');
		let colour = '';
		for (let at = 0; at < drawn.n; at++) {
			const left = Math.max(0, drawn.left[at]);
			const right = Math.min(width, drawn.left[at] + drawn.width[at]);
			if (right - left < LABEL_FROM) {
				continue;
			}
			const box = drawn.box[at];
			const y = this.yOf(drawn.depth[at]);
			const room = right - left - 8;
			const wanted = drawn.run[at]
				? colours.muted
				: match && match[box]
					? colours.match.text
					: drawn.depth[at] < dimBelow
						? colours.muted
						: tones[picture.tone[box]].text;
			if (wanted !== colour) {
				colour = wanted;
				context.fillStyle = wanted;
			}
			const label = drawn.run[at] ? `+${drawn.run[at]} smaller` : picture.label(box);
			const fitted = fitter.fit(label, room);
			context.fillText(fitted, left + 4, y + ROW / 2);
			if (!drawn.run[at] && fitted === label) {
				const used = fitter.width(label);
				if (room - used > room12) {
					const place = fitter.fit(picture.place(box), room - used - 12);
					if (place) {
						colour = colours.outline ? colours.text : match && match[box] ? colours.match.text : colours.text;
						context.fillStyle = colour;
						context.globalAlpha = 0.8;
						context.fillText(place, left + 4 + used + 12, y + ROW / 2);
						context.globalAlpha = 1;
					}
				}
			}
		}
		this.edges(context, colours);
	}

	private edges(context: CanvasRenderingContext2D, colours: Palette): void {
		const { drawn, surface, selected } = this;
		const { match } = this.picture as Picture;
		context.lineWidth = 2;
		for (let at = 0; at < drawn.n; at++) {
			const box = drawn.box[at];
			const inRun = drawn.run[at] > 0;
			const chosen = inRun ? selected >= box && selected < box + drawn.run[at] : box === selected;
			const found = !inRun && match !== null && match[box] === 1 && drawn.width[at] >= 4;
			if (!chosen && !found) {
				continue;
			}
			const left = Math.max(0, drawn.left[at]);
			const right = Math.min(surface.width, drawn.left[at] + drawn.width[at]);
			context.strokeStyle = chosen ? colours.text : colours.matchEdge;
			context.strokeRect(left + 1, this.yOf(drawn.depth[at]) + 1, Math.max(1, right - left - 3), ROW - 3);
		}
	}

	private at(event: MouseEvent): number {
		const rect = this.surface.canvas.getBoundingClientRect();
		return hitBox(this.drawn, this.depthAt(event.clientY - rect.top), event.clientX - rect.left);
	}

	private leave(): void {
		this.tip.hide();
		this.hover.hidden = true;
	}

	private onWheel = (event: WheelEvent): void => {
		if (!this.picture) {
			return;
		}
		const rect = this.surface.canvas.getBoundingClientRect();
		if (event.ctrlKey || event.metaKey) {
			event.preventDefault();
			this.scaleAt((event.clientX - rect.left) / this.surface.width, Math.exp(clamp(event.deltaY, -200, 200) * 0.004));
		} else if (event.deltaX || event.shiftKey) {
			event.preventDefault();
			this.pan(((event.deltaX || event.deltaY) / this.surface.width) * (this.view.to - this.view.from));
		}
	};

	private scaleAt(part: number, factor: number): void {
		const { total } = (this.picture as Picture).layout;
		const span = this.view.to - this.view.from;
		const wider = clamp(span * factor, total * 1e-9, total || 1);
		const pivot = this.view.from + span * part;
		const from = clamp(pivot - wider * part, 0, Math.max(0, total - wider));
		this.free(from, from + wider);
	}

	private pan(seconds: number): void {
		const { total } = (this.picture as Picture).layout;
		const span = this.view.to - this.view.from;
		const from = clamp(this.view.from + seconds, 0, Math.max(0, total - span));
		this.free(from, from + span);
	}

	/** Moved by hand: the box zoomed to is the deepest that still fills the width. */
	private free(from: number, to: number): void {
		const { layout } = this.picture as Picture;
		cancelAnimationFrame(this.animation);
		let box = this.view.box;
		while (layout.parent[box] >= 0 && (layout.x[box] > from || layout.x[box] + layout.w[box] < to)) {
			box = layout.parent[box];
		}
		this.view = { from, to, box };
		this.leave();
		this.surface.request();
	}

	private onDown = (event: PointerEvent): void => {
		if (event.button !== 0) {
			return;
		}
		this.focus();
		this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
		this.surface.canvas.setPointerCapture(event.pointerId);
		this.drag = {
			x: event.clientX,
			y: event.clientY,
			from: this.view.from,
			to: this.view.to,
			top: this.scroller.scrollTop,
			moved: this.pointers.size > 1,
			gap: this.gap(),
		};
	};

	private gap(): number {
		const [one, two] = [...this.pointers.values()];
		return two ? Math.max(8, Math.hypot(one.x - two.x, one.y - two.y)) : 0;
	}

	private onMove = (event: PointerEvent): void => {
		const { drag, picture } = this;
		if (!picture) {
			return;
		}
		if (drag && this.pointers.has(event.pointerId)) {
			this.pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
			const gap = this.gap();
			if (gap && drag.gap) {
				const rect = this.surface.canvas.getBoundingClientRect();
				const [one, two] = [...this.pointers.values()];
				this.scaleAt(((one.x + two.x) / 2 - rect.left) / this.surface.width, drag.gap / gap);
				drag.gap = gap;
				return;
			}
			const dx = event.clientX - drag.x;
			const dy = event.clientY - drag.y;
			if (!drag.moved && Math.abs(dx) + Math.abs(dy) < 4) {
				return;
			}
			drag.moved = true;
			const span = drag.to - drag.from;
			const from = clamp(drag.from - (dx / this.surface.width) * span, 0, Math.max(0, picture.layout.total - span));
			this.scroller.scrollTop = drag.top - dy;
			this.free(from, from + span);
			return;
		}
		const at = this.at(event);
		if (at < 0) {
			this.leave();
			return;
		}
		const { drawn } = this;
		const rect = this.surface.canvas.getBoundingClientRect();
		const left = Math.max(0, drawn.left[at]);
		const wide = Math.min(this.surface.width, drawn.left[at] + drawn.width[at]) - left;
		const y = this.yOf(drawn.depth[at]);
		this.hover.style.transform = `translate(${left}px, ${y}px)`;
		this.hover.style.width = `${Math.max(2, wide - 1)}px`;
		this.hover.hidden = false;
		const box = drawn.box[at];
		const run = drawn.run[at];
		this.tip.show(() => picture.tip(box, run), { y, height: ROW }, event.clientX - rect.left, this.surface);
	};

	private onUp = (event: PointerEvent): void => {
		const moved = this.drag?.moved;
		this.pointers.delete(event.pointerId);
		if (this.pointers.size === 0) {
			this.drag = null;
		}
		if (event.type === 'pointercancel' || moved || !this.picture) {
			return;
		}
		const at = this.at(event);
		if (at >= 0 && !this.drawn.run[at]) {
			this.choose(this.drawn.box[at]);
		}
	};

	private choose(box: number): void {
		this.show(box, false);
		this.hearing.select?.(box);
	}

	private onDouble = (event: MouseEvent): void => {
		const at = this.at(event);
		if (at < 0 || !this.picture) {
			return;
		}
		if (this.drawn.run[at]) {
			this.zoomRun(this.drawn.box[at], this.drawn.run[at]);
		} else {
			this.enter(this.drawn.box[at]);
		}
	};

	private onMenu = (event: MouseEvent): void => {
		const at = this.at(event);
		if (at >= 0 && !this.drawn.run[at] && this.hearing.menu) {
			event.preventDefault();
			this.choose(this.drawn.box[at]);
			this.hearing.menu(this.drawn.box[at], event.clientX, event.clientY);
		}
	};

	private enter(box: number): void {
		if ((this.picture as Picture).layout.row[box] < -1 && this.hearing.open?.(box)) {
			return;
		}
		this.zoomTo(box);
	}

	/** Handles a key; false when it is not one of ours. */
	key(event: KeyboardEvent): boolean {
		const { picture } = this;
		if (!picture || event.altKey || event.ctrlKey || event.metaKey) {
			return false;
		}
		const { layout } = picture;
		const here = this.selected;
		const move = (box: number): true => {
			this.show(box, true);
			this.hearing.select?.(box);
			return true;
		};
		const up = this.flipped ? 'ArrowDown' : 'ArrowUp';
		const down = this.flipped ? 'ArrowUp' : 'ArrowDown';
		switch (event.key) {
			case up:
				return here < 0 ? move(0) : layout.parent[here] >= 0 ? move(layout.parent[here]) : true;
			case down: {
				if (here < 0) {
					return move(0);
				}
				let best = -1;
				for (let child = layout.start[here]; child < layout.start[here] + layout.count[here]; child++) {
					if (best < 0 || layout.w[child] > layout.w[best]) {
						best = child;
					}
				}
				return best >= 0 ? move(best) : true;
			}
			case 'ArrowLeft':
			case 'ArrowRight': {
				if (here < 0) {
					return move(0);
				}
				const above = layout.parent[here];
				const next = here + (event.key === 'ArrowRight' ? 1 : -1);
				return above >= 0 && next >= layout.start[above] && next < layout.start[above] + layout.count[above] ? move(next) : true;
			}
			case 'Home':
				return move(0);
			case 'PageDown':
			case 'PageUp':
				this.scroller.scrollTop += (event.key === 'PageDown' ? 1 : -1) * (this.surface.height - ROW);
				return true;
			case 'Enter':
				if (here >= 0) {
					this.enter(here);
				}
				return true;
			case '+':
			case '=':
				this.scaleAt(0.5, 0.5);
				return true;
			case '-':
				this.scaleAt(0.5, 2);
				return true;
			case 'Backspace':
				this.back();
				return true;
			case '0':
				this.reset();
				return true;
			default:
				return false;
		}
	}

	/** The next or previous box that matches the search, from left to right and from the root on. */
	step(direction: 1 | -1): boolean {
		const { picture } = this;
		if (!picture?.match) {
			return false;
		}
		const { layout, match } = picture;
		if (!this.hits) {
			this.hits = [];
			for (let box = 0; box < layout.n; box++) {
				if (match[box]) {
					this.hits.push(box);
				}
			}
			this.hits.sort((a, b) => layout.x[a] - layout.x[b] || a - b);
		}
		if (!this.hits.length) {
			return false;
		}
		const now = this.hits.indexOf(this.selected);
		const next = now < 0 ? (direction > 0 ? 0 : this.hits.length - 1) : (now + direction + this.hits.length) % this.hits.length;
		const box = this.hits[next];
		this.show(box, true);
		this.hearing.select?.(box);
		return true;
	}

	/** What is in sight, for a picture in a file. */
	get sight(): { picture: Picture; view: { from: number; to: number }; width: number; flipped: boolean; fitter: Fitter | null } | null {
		const { picture, view, surface, flipped, fitter } = this;
		return picture ? { picture, view, width: surface.width, flipped, fitter } : null;
	}
}
