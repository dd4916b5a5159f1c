// SPDX-License-Identifier: BSD-3-Clause
// Folds the program and the style into one script, dist/page.js: see loader.js. zlib may compress differently from
// one version to the next, so a script that unfolds to the same bytes with the same loader stays as it is.
import { deflateRawSync, inflateRawSync } from 'node:zlib';
import { runInNewContext } from 'node:vm';

const ALPHABET = Array.from({ length: 93 }, (_, i) => String.fromCharCode(33 + i)).filter((letter) => !'"$&\'<>\\`'.includes(letter));
const MARK = '"PACKED"';

function encode(bytes) {
	const padded = Buffer.alloc(Math.ceil(bytes.length / 4) * 4);
	bytes.copy(padded);
	let text = '';
	for (let at = 0; at < padded.length; at += 4) {
		let word = padded.readUInt32BE(at);
		let five = '';
		for (let i = 0; i < 5; i++, word = Math.floor(word / 85)) five = ALPHABET[word % 85] + five;
		text += five;
	}
	return text;
}

function decode(text) {
	const bytes = Buffer.alloc((text.length / 5) * 4);
	for (let at = 0; at < text.length; at += 5) {
		let word = 0;
		for (let i = 0; i < 5; i++) word = word * 85 + ALPHABET.indexOf(text[at + i]);
		bytes.writeUInt32BE(word, (at / 5) * 4);
	}
	return bytes;
}

/** The shortest of what zlib offers. */
function deflate(bytes) {
	const tries = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((memLevel) => deflateRawSync(bytes, { level: 9, memLevel }));
	return tries.reduce((best, each) => (each.length < best.length ? each : best));
}

/** What a browser would insert: [name, text]. */
function unfold(script) {
	const inserted = [];
	const document = { createElement: (name) => ({ name }), head: { append: (element) => inserted.push([element.name, element.textContent]) } };
	runInNewContext(script.toString('latin1'), { document, TextDecoder }, { timeout: 10_000 });
	return inserted;
}

/** `loader`: a function from {PACKED, SIZE, STYLE_SIZE} to the loader's text; `before`: the page.js there is, or null. */
export async function pack(script, style, loader, before) {
	const bytes = Buffer.concat([style, script]);
	const frame = await loader({ PACKED: MARK, SIZE: String(bytes.length), STYLE_SIZE: String(style.length) });
	const [head, tail, ...more] = frame.split(MARK);
	if (tail === undefined || more.length) throw new Error('the loader does not name its text once');
	const text = before?.toString('latin1') ?? '';
	let packed = '';
	if (text.startsWith(`${head}"`) && text.endsWith(`"${tail}`)) {
		packed = text.slice(head.length + 1, text.length - tail.length - 1);
		try {
			if (!inflateRawSync(decode(packed)).equals(bytes)) packed = '';
		} catch {
			packed = '';
		}
	}
	const result = Buffer.from(`${head}"${packed || encode(deflate(bytes))}"${tail}`, 'latin1');
	const inserted = JSON.stringify(unfold(result));
	if (inserted !== JSON.stringify([['style', style.toString('latin1')], ['script', script.toString('latin1')]]))
		throw new Error('the packed page does not unfold to what was packed');
	return result;
}
