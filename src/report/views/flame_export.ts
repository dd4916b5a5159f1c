// SPDX-License-Identifier: BSD-3-Clause
// The flame graph in sight as an SVG document. Names come from the profiled process: they are escaped,
// and letters that XML does not know become U+FFFD.
import { Fitter, palette } from './canvas';
import { type Icicle, LABEL_FROM, ROW } from './icicle';
import { drawnBoxes, newDrawn } from './layout';

const DEEPEST = 2000;
const HEAD = 24;

function escape(text: string): string {
	let out = '';
	for (const letter of text) {
		const code = letter.codePointAt(0) as number;
		if (code === 0x3c || code === 0x3e || code === 0x26 || code === 0x22 || code === 0x27) {
			out += `&#${code};`;
		} else if ((code < 0x20 && code !== 9 && code !== 10 && code !== 13) || (code >= 0xd800 && code <= 0xdfff) || (code & 0xfffe) === 0xfffe) {
			out += '\ufffd';
		} else {
			out += letter;
		}
	}
	return out;
}

export function flameSvg(icicle: Icicle, title: string): string {
	const sight = icicle.sight;
	if (!sight) {
		return '';
	}
	const { picture, view, width, flipped } = sight;
	const { layout, match } = picture;
	const colours = palette();
	const tones = picture.tones(colours);
	const all = newDrawn();
	drawnBoxes(layout, view.from, view.to, width, 0, Math.min(layout.depths - 1, DEEPEST), all);
	const fitter = sight.fitter || new Fitter((text) => text.length * 7.2);
	let deepest = 0;
	for (let at = 0; at < all.n; at++) {
		deepest = Math.max(deepest, all.depth[at]);
	}
	const height = HEAD + (deepest + 1) * ROW;
	const out = [
		`<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="monospace" font-size="12">`,
		`<rect width="100%" height="100%" fill="${escape(colours.bg)}"/>`,
		`<text x="4" y="16" fill="${escape(colours.text)}">${escape(title)}</text>`,
	];
	for (let at = 0; at < all.n; at++) {
		const box = all.box[at];
		const run = all.run[at];
		const left = Math.max(0, all.left[at]);
		const right = Math.min(width, all.left[at] + all.width[at]);
		const narrow = right - left < 4;
		const y = HEAD + (flipped ? deepest - all.depth[at] : all.depth[at]) * ROW;
		const found = !run && match !== null && match[box] === 1;
		const tone = found ? colours.match : tones[picture.tone[box]];
		const fill = run ? colours.raised : narrow ? tone.strong : tone.fill;
		const label = run ? `+${run} smaller` : picture.label(box);
		const shown = right - left >= LABEL_FROM ? fitter.fit(label, right - left - 8) : '';
		const wide = Math.max(0.5, right - left - (narrow ? 0 : 1)).toFixed(2);
		out.push(
			'<g>',
			`<title>${escape(run ? label : picture.spoken(box))}</title>`,
			`<rect x="${left.toFixed(2)}" y="${y}" width="${wide}" height="${ROW - 1}" fill="${escape(fill)}"/>`,
			shown ? `<text x="${(left + 4).toFixed(2)}" y="${y + 13}" fill="${escape(run ? colours.text : tone.text)}">${escape(shown)}</text>` : '',
			'</g>',
		);
	}
	out.push('</svg>', '');
	return out.join('\n');
}
