// SPDX-License-Identifier: BSD-3-Clause
// Contrast of every pair of colours that the page puts on each other, in both themes, by WCAG 2.2's formula.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from './lib.mjs';

const css = readFileSync(join(ROOT, 'src/report/dist/report.css'), 'utf8');

/** The custom properties of a rule, #rgb written out. */
function tokens(selector) {
	const out = {};
	const at = css.indexOf(`${selector}{`);
	assert.ok(at >= 0, `${selector} is in the style sheet`);
	for (const [, name, value] of css.slice(at, css.indexOf('}', at)).matchAll(/--([\w-]+):\s*(#[0-9a-f]{3,8})\b/gi)) out[name] = value.length === 4 ? `#${[...value.slice(1)].map((digit) => digit + digit).join('')}` : value;
	return out;
}

const light = tokens(':root');
const dark = { ...light, ...tokens(':root[data-theme=dark]') };

function luminance(color) {
	const [r, g, b] = [1, 3, 5].map((at) => {
		const part = parseInt(color.slice(at, at + 2), 16) / 255;
		return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
	});
	return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}
const contrast = (a, b) => (Math.max(luminance(a), luminance(b)) + 0.05) / (Math.min(luminance(a), luminance(b)) + 0.05);

const numbers = (prefix, from, to, suffix = '') => Array.from({ length: to - from + 1 }, (_, i) => `${prefix}${from + i}${suffix}`);
const GROUNDS = ['bg', 'surface', 'raised'];
const TEXTS = ['text', 'muted', 'accent', 't60', 't30', 't15', 't5', 't0'];
/* text on what: 4.5 */
const READ = [
	...TEXTS.flatMap((text) => ['bg', 'surface'].map((ground) => [text, ground])),
	...['text', 'muted', 'accent'].map((text) => [text, 'raised']),
	...['text', 'muted', 'accent', 't60', 't30', 't15', 't5', 't0'].map((text) => [text, 'selected']),
	...[...numbers('kind-', 0, 8), ...numbers('heat-', 1, 5), ...numbers('diff-', 1, 5)].map((ground) => ['text', ground]),
	['on-accent', 'accent'],
	['match-text', 'match'],
];
/* edges and marks on what: 3 */
const SEEN = [
	...['border', 'accent', ...numbers('kind-', 0, 8, '-strong'), ...numbers('state-', 1, 3)].map((mark) => [mark, 'bg']),
	['border', 'surface'],
	['accent', 'surface'],
];

for (const [theme, colors] of [
	['light', light],
	['dark', dark],
])
	test(`contrast in the ${theme} theme`, () => {
		const low = [];
		let least = Infinity;
		for (const [pairs, limit] of [
			[READ, 4.5],
			[SEEN, 3],
		])
			for (const [above, below] of pairs) {
				assert.ok(colors[above] && colors[below], `${above} and ${below} are colours`);
				const ratio = contrast(colors[above], colors[below]);
				if (limit === 4.5) least = Math.min(least, ratio);
				if (ratio < limit) low.push(`${above} on ${below}: ${ratio.toFixed(2)} < ${limit}`);
			}
		assert.deepEqual(low, []);
		console.log(`figure contrast, ${theme}: ${READ.length} pairs of text, the least ${least.toFixed(2)}`);
	});

test('no colour is known to one theme only', () => {
	const own = tokens(':root[data-theme=dark]');
	assert.deepEqual(Object.keys(light).filter((name) => !own[name]), []);
	assert.deepEqual(Object.keys(own).filter((name) => !light[name]), []);
	assert.ok(GROUNDS.every((name) => own[name] !== light[name]));
});
