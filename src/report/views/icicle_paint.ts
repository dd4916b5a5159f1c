// SPDX-License-Identifier: BSD-3-Clause
// Fills of boxes, one colour after the other: changing the colour of the pen costs more than a box.
import { hatch, type Palette, type Tone } from './canvas';
import type { Picture } from './icicle';
import type { Drawn } from './layout';

export interface Fills {
	context: CanvasRenderingContext2D;
	colours: Palette;
	tones: Tone[];
	picture: Picture;
	drawn: Drawn;
	/** Boxes above this depth are ancestors of what was zoomed to. */
	dimBelow: number;
	width: number;
	height: number; // of a row
	yOf: (depth: number) => number;
}

const NARROW = 1;
const DIM = 2;
let keys = new Int32Array(0);
let sequence = new Int32Array(0);

export function paintFills({ context, colours, tones, picture, drawn, dimBelow, width, height, yOf }: Fills): void {
	const { match, tone } = picture;
	const count = drawn.n;
	if (keys.length < count) {
		keys = new Int32Array(drawn.box.length);
		sequence = new Int32Array(drawn.box.length);
	}
	const run = tones.length;
	const found = tones.length + 1;
	const begins: number[] = new Array((tones.length + 2) * 4 + 1).fill(0);
	for (let at = 0; at < count; at++) {
		const box = drawn.box[at];
		const isRun = drawn.run[at] > 0;
		const colour = isRun ? run : match && match[box] ? found : tone[box];
		const key = colour * 4 + (drawn.width[at] < 4 ? NARROW : 0) + (drawn.depth[at] < dimBelow && !isRun ? DIM : 0);
		keys[at] = key;
		begins[key + 1]++;
	}
	for (let key = 1; key < begins.length; key++) {
		begins[key] += begins[key - 1];
	}
	const places = begins.slice();
	for (let at = 0; at < count; at++) {
		sequence[places[keys[at]]++] = at;
	}
	for (let key = 0; key + 1 < begins.length; key++) {
		const begin = begins[key];
		const end = begins[key + 1];
		if (begin === end) {
			continue;
		}
		const colour = key >> 2;
		const narrow = (key & NARROW) !== 0;
		const dim = (key & DIM) !== 0;
		const shade = colour === run ? null : colour === found ? colours.match : tones[colour];
		const gap = narrow ? 0 : 1;
		context.globalAlpha = dim ? 0.45 : 1;
		context.fillStyle = shade ? (narrow ? shade.strong : shade.fill) : hatch(context, colours.muted, colours.raised);
		for (let index = begin; index < end; index++) {
			const at = sequence[index];
			const left = Math.max(0, drawn.left[at]);
			const right = Math.min(width, drawn.left[at] + drawn.width[at]);
			context.fillRect(left, yOf(drawn.depth[at]), Math.max(right - left - gap, 0.5), height - 1);
		}
		if (!shade || narrow || !(shade.hatched || colours.outline)) {
			continue;
		}
		for (let index = begin; index < end; index++) {
			const at = sequence[index];
			const left = Math.max(0, drawn.left[at]);
			const right = Math.min(width, drawn.left[at] + drawn.width[at]);
			const y = yOf(drawn.depth[at]);
			if (shade.hatched) {
				context.globalAlpha = dim ? 0.2 : 0.35;
				context.fillStyle = hatch(context, shade.strong);
				context.fillRect(left, y, right - left - 1, height - 1);
			}
			if (colours.outline) {
				context.globalAlpha = 1;
				context.strokeStyle = shade.strong;
				context.lineWidth = 1;
				context.strokeRect(left + 0.5, y + 0.5, right - left - 2, height - 2);
			}
		}
	}
	context.globalAlpha = 1;
}
