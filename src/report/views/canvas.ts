// SPDX-License-Identifier: BSD-3-Clause
// What every canvas view needs: a surface that follows its box and the screen's pixel ratio, colours
// read from the style sheet once per theme, labels cut in the middle, hatching, and the hidden element
// that lets a screen reader follow a drawing. Knows nothing of profiles.

export const KINDS = 9;

export interface Tone {
	fill: string;
	strong: string;
	text: string;
	hatched: boolean;
}

export interface Palette {
	bg: string;
	surface: string;
	raised: string;
	text: string;
	muted: string;
	border: string;
	accent: string;
	selected: string;
	matchEdge: string;
	font: string;
	kinds: Tone[];
	match: Tone;
	heat: string[];
	diff: string[];
	hues: Tone[];
	states: string[];
	/* forced colours or more contrast asked for: shapes are told by outlines, not by fills */
	outline: boolean;
	dark: boolean;
}

const HUES = [210, 145, 265, 30, 340, 185, 90, 310, 55, 240];

function luminance(colour: string): number {
	const hex = /^#([0-9a-f]{6})$/i.exec(colour);
	if (!hex) {
		return 1;
	}
	const value = parseInt(hex[1], 16);
	return (0.2126 * (value >> 16) + 0.7152 * ((value >> 8) & 255) + 0.0722 * (value & 255)) / 255;
}

function readPalette(): Palette {
	const style = getComputedStyle(document.documentElement);
	const get = (name: string, fallback: string): string => style.getPropertyValue(name).trim() || fallback;
	const bg = get('--bg', '#FFFFFF');
	const text = get('--text', '#1B1F24');
	const dark = luminance(bg) < 0.5;
	const forced = matchMedia('(forced-colors: active)').matches;
	const outline = forced || matchMedia('(prefers-contrast: more)').matches;
	const kinds: Tone[] = [];
	for (let kind = 0; kind < KINDS; kind++) {
		const strong = get(`--kind-${kind}-strong`, get('--border', '#848D97'));
		kinds.push({
			fill: outline ? (forced ? 'Canvas' : bg) : get(`--kind-${kind}`, get('--raised', '#EAEEF2')),
			strong: forced ? 'CanvasText' : strong,
			text: forced ? 'CanvasText' : text,
			hatched: kind === 6,
		});
	}
	const hues = HUES.map((hue) => ({
		fill: outline ? (forced ? 'Canvas' : bg) : dark ? `hsl(${hue} 38% 28%)` : `hsl(${hue} 58% 86%)`,
		strong: forced ? 'CanvasText' : dark ? `hsl(${hue} 45% 58%)` : `hsl(${hue} 45% 42%)`,
		text: forced ? 'CanvasText' : text,
		hatched: false,
	}));
	return {
		bg: forced ? 'Canvas' : bg,
		surface: forced ? 'Canvas' : get('--surface', '#F5F7F9'),
		raised: forced ? 'Canvas' : get('--raised', '#EAEEF2'),
		text: forced ? 'CanvasText' : text,
		muted: forced ? 'GrayText' : get('--muted', '#57606A'),
		border: forced ? 'CanvasText' : get('--border', '#848D97'),
		accent: forced ? 'Highlight' : get('--accent', '#0A58A8'),
		selected: forced ? 'Highlight' : get('--selected', '#DCEBFB'),
		matchEdge: forced ? 'Highlight' : get('--match-line', '#B3191F'),
		font: get('--mono', 'monospace'),
		kinds,
		match: {
			fill: forced ? 'Canvas' : get('--match', '#FFE066'),
			strong: forced ? 'Highlight' : get('--match', '#FFE066'),
			text: forced ? 'CanvasText' : get('--match-text', dark ? '#14171A' : text),
			hatched: false,
		},
		heat: [1, 2, 3, 4, 5].map((step) => get(`--heat-${step}`, 'transparent')),
		diff: [1, 2, 3, 4, 5].map((step) => get(`--diff-${step}`, get('--raised', '#EAEEF2'))),
		hues,
		/* unknown, running, waiting, waiting for the GIL */
		states: forced
			? ['GrayText', 'CanvasText', 'Canvas', 'Highlight']
			: [0, 1, 2, 3].map((state) => get(`--state-${state}`, get('--border', '#848D97'))),
		outline,
		dark,
	};
}

let current: Palette | null = null;
const themeListeners = new Set<() => void>();

function themeChanged(): void {
	current = null;
	patterns.clear();
	for (const listener of themeListeners) {
		listener();
	}
}

export function palette(): Palette {
	current ||= readPalette();
	return current;
}

let watching = false;

/** Calls back whenever the colours may have changed; returns the undo. */
export function onTheme(listener: () => void): () => void {
	if (!watching) {
		watching = true;
		new MutationObserver(themeChanged).observe(document.documentElement, { attributes: true });
		for (const query of ['(prefers-color-scheme: dark)', '(forced-colors: active)', '(prefers-contrast: more)']) {
			matchMedia(query).addEventListener('change', themeChanged);
		}
	}
	themeListeners.add(listener);
	return () => themeListeners.delete(listener);
}

export function reducedMotion(): boolean {
	return matchMedia('(prefers-reduced-motion: reduce)').matches;
}

/** A canvas that fills its host, sharp at any pixel ratio, painted at most once per frame. */
export class Surface {
	readonly canvas: HTMLCanvasElement;
	readonly context: CanvasRenderingContext2D;
	width = 0;
	height = 0;
	ratio = 1;
	private frame = 0;
	private readonly observer: ResizeObserver;
	private readonly forget: () => void;

	constructor(
		readonly host: HTMLElement,
		private readonly paint: (surface: Surface) => void,
		private readonly resized?: () => void,
	) {
		this.canvas = document.createElement('canvas');
		this.canvas.className = 'surface';
		host.prepend(this.canvas);
		this.context = this.canvas.getContext('2d', { alpha: false }) as CanvasRenderingContext2D;
		this.observer = new ResizeObserver(() => this.measure());
		this.observer.observe(host);
		this.forget = onTheme(() => this.request());
		this.measure();
	}

	private measure(): void {
		const width = Math.max(1, this.host.clientWidth);
		const height = Math.max(1, this.host.clientHeight);
		const ratio = Math.min(4, window.devicePixelRatio || 1);
		if (width !== this.width || height !== this.height || ratio !== this.ratio) {
			this.width = width;
			this.height = height;
			this.ratio = ratio;
			this.canvas.width = Math.round(width * ratio);
			this.canvas.height = Math.round(height * ratio);
			this.canvas.style.width = `${width}px`;
			this.canvas.style.height = `${height}px`;
			this.resized?.();
			this.now();
		}
	}

	request(): void {
		this.frame ||= requestAnimationFrame(() => this.now());
	}

	/** Paints at once; a frame that was asked for is taken back. */
	now(): void {
		cancelAnimationFrame(this.frame);
		this.frame = 0;
		const context = this.context;
		context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
		context.fillStyle = palette().bg;
		context.fillRect(0, 0, this.width, this.height);
		this.paint(this);
	}

	destroy(): void {
		cancelAnimationFrame(this.frame);
		this.observer.disconnect();
		this.forget();
		this.canvas.remove();
	}
}

const patterns = new Map<string, CanvasPattern | string>();

/** Diagonal lines of one colour, as a fill. */
export function hatch(context: CanvasRenderingContext2D, colour: string, back = 'transparent'): CanvasPattern | string {
	const key = `${colour} ${back}`;
	let pattern = patterns.get(key);
	if (!pattern) {
		const tile = document.createElement('canvas');
		tile.width = tile.height = 6;
		const pen = tile.getContext('2d') as CanvasRenderingContext2D;
		if (back !== 'transparent') {
			pen.fillStyle = back;
			pen.fillRect(0, 0, 6, 6);
		}
		pen.strokeStyle = colour;
		pen.lineWidth = 1;
		pen.beginPath();
		for (const shift of [-6, 0, 6]) {
			pen.moveTo(shift - 1, 7);
			pen.lineTo(shift + 7, -1);
		}
		pen.stroke();
		pattern = context.createPattern(tile, 'repeat') || colour;
		patterns.set(key, pattern);
	}
	return pattern;
}

const LONGEST_LABEL = 400;

/** Cuts texts in the middle until they fit. One per canvas context and font. */
export class Fitter {
	private readonly wide: number;
	private readonly even: boolean;
	private readonly widths = new Map<string, number>();

	constructor(private readonly measure: (text: string) => number) {
		this.wide = measure('M');
		this.even = Math.abs(measure('i') - this.wide) < 0.01 && this.wide > 0;
	}

	width(text: string): number {
		if (this.even && plain(text)) {
			return text.length * this.wide;
		}
		let width = this.widths.get(text);
		if (width === undefined) {
			if (this.widths.size > 20000) {
				this.widths.clear();
			}
			width = this.measure(text.length > LONGEST_LABEL ? text.slice(0, LONGEST_LABEL) : text);
			this.widths.set(text, width);
		}
		return width;
	}

	/** The text, or its beginning and end around an ellipsis, or nothing when not even that has room. */
	fit(text: string, room: number): string {
		if (this.even && plain(text)) {
			const letters = Math.floor(room / this.wide);
			if (text.length <= letters) {
				return text;
			}
			if (letters < 2) {
				return '';
			}
			const head = letters >> 1;
			const tail = letters - 1 - head;
			return `${text.slice(0, head)}\u2026${tail > 0 ? text.slice(-tail) : ''}`;
		}
		if (text.length <= LONGEST_LABEL && this.width(text) <= room) {
			return text;
		}
		/* by code points: a pair of surrogates is one letter */
		const letters = Array.from(text.length > 2 * LONGEST_LABEL ? text.slice(0, LONGEST_LABEL) + text.slice(-LONGEST_LABEL) : text);
		let low = 0;
		let high = letters.length - 1;
		const cut = (kept: number): string => {
			const head = (kept + 1) >> 1;
			return `${letters.slice(0, head).join('')}\u2026${letters.slice(letters.length - (kept - head)).join('')}`;
		};
		while (low < high) {
			const middle = (low + high + 1) >> 1;
			if (this.measure(cut(middle)) <= room) {
				low = middle;
			} else {
				high = middle - 1;
			}
		}
		return low > 0 ? cut(low) : '';
	}
}

const plainTexts = new Map<string, boolean>();

function plain(text: string): boolean {
	let known = plainTexts.get(text);
	if (known === undefined) {
		known = /^[\x20-\x7e]*$/.test(text);
		if (plainTexts.size > 50000) {
			plainTexts.clear();
		}
		plainTexts.set(text, known);
	}
	return known;
}

export function clamp(value: number, low: number, high: number): number {
	return value < low ? low : value > high ? high : value;
}

/** 1, 2 or 5 times a power of ten, at least `step`: distances of a ruler's ticks. */
export function niceStep(step: number): number {
	const power = 10 ** Math.floor(Math.log10(step));
	for (const factor of [1, 2, 5]) {
		if (factor * power >= step * (1 - 1e-9)) {
			return factor * power;
		}
	}
	return 10 * power;
}

let spoken = 0;

/**
 * Makes a drawing readable without eyes: the host is an application that points to a hidden element
 * which names the frame in focus; what moves is read aloud after it has rested for 300 ms.
 */
export class Reader {
	private readonly active: HTMLElement;
	private readonly live: HTMLElement;
	private timer = 0;

	constructor(
		private readonly host: HTMLElement,
		label: string,
	) {
		spoken += 1;
		host.setAttribute('role', 'application');
		host.setAttribute('aria-label', label);
		host.tabIndex = 0;
		this.active = document.createElement('div');
		this.active.id = `focus-${spoken}`;
		this.active.className = 'off';
		this.active.setAttribute('role', 'img');
		this.live = document.createElement('div');
		this.live.className = 'off';
		this.live.setAttribute('aria-live', 'polite');
		host.append(this.active, this.live);
	}

	focus(text: string, where?: { x: number; y: number; width: number; height: number }): void {
		this.active.textContent = text;
		this.active.setAttribute('aria-label', text);
		if (where) {
			/* magnifiers follow the place of the element, not only its text */
			this.active.style.left = `${Math.round(where.x)}px`;
			this.active.style.top = `${Math.round(where.y)}px`;
		}
		if (text) {
			this.host.setAttribute('aria-activedescendant', this.active.id);
		} else {
			this.host.removeAttribute('aria-activedescendant');
		}
		this.say(text);
	}

	say(text: string): void {
		clearTimeout(this.timer);
		this.timer = window.setTimeout(() => {
			this.live.textContent = text;
		}, 300);
	}

	destroy(): void {
		clearTimeout(this.timer);
		this.active.remove();
		this.live.remove();
	}
}

/** One tooltip for all drawings. It stays beside the box it speaks of. */
export class Tip {
	private readonly element: HTMLElement;
	private timer = 0;

	constructor(host: HTMLElement) {
		this.element = document.createElement('div');
		this.element.className = 'tip';
		this.element.setAttribute('role', 'tooltip');
		this.element.hidden = true;
		host.append(this.element);
	}

	/** After 60 ms; `box` and `x` are in the host's pixels. */
	show(lines: () => [string, string][], box: { y: number; height: number }, x: number, host: { width: number; height: number }): void {
		clearTimeout(this.timer);
		this.timer = window.setTimeout(() => {
			this.element.replaceChildren();
			for (const [name, value] of lines()) {
				const line = document.createElement('div');
				const key = document.createElement('span');
				key.className = 'tip-key';
				key.textContent = name;
				const text = document.createElement('span');
				text.textContent = value;
				line.className = name ? 'tip-line' : 'tip-line tip-title';
				line.append(...(name ? [key, text] : [text]));
				this.element.append(line);
			}
			this.element.hidden = false;
			const { offsetWidth, offsetHeight } = this.element;
			const below = box.y + box.height + 6;
			const above = box.y - offsetHeight - 6;
			const y = below + offsetHeight <= host.height || above < 0 ? below : above;
			this.element.style.left = `${Math.round(clamp(x + 12, 0, Math.max(0, host.width - offsetWidth - 4)))}px`;
			this.element.style.top = `${Math.round(y)}px`;
		}, 60);
	}

	hide(): void {
		clearTimeout(this.timer);
		this.element.hidden = true;
	}

	destroy(): void {
		clearTimeout(this.timer);
		this.element.remove();
	}
}
