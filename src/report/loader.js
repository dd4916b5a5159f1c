// SPDX-License-Identifier: BSD-3-Clause
// What a page carries instead of its program and its style: both deflated, and what unfolds them. It waits for
// nothing, so the page is there as early as if they had been written out, and needs no DecompressionStream. What it
// inserts is the text of an element whose hash is in the page's policy, as if it had been there from the beginning.
//
// pack.mjs puts the text in: five letters of the 85 in ALPHABET stand for four bytes. When anything is wrong an
// exception ends this script, and the summary stays.
const text = PACKED;
const digits = [];
for (let code = 33, digit = 0; code < 126; code++) if (!'"$&\'<>\\`'.includes(String.fromCharCode(code))) digits[code] = digit++;
const bytes = new Uint8Array((text.length / 5) * 4);
for (let i = 0, at = 0; i < text.length; i += 5) {
	let word = 0;
	for (let j = 0; j < 5; j++) word = word * 85 + digits[text.charCodeAt(i + j)];
	for (let shift = 24; shift >= 0; shift -= 8) bytes[at++] = word >>> shift;
}

// RFC 1951, its dynamic blocks only: pack.mjs makes no others.
const out = new Uint8Array(SIZE);
let size = 0;
let position = 0; // in bits
const bit = () => (bytes[position >> 3] >> (position++ & 7)) & 1;
const bits = (count) => {
	let value = 0;
	for (let i = 0; i < count; i++) value |= bit() << i;
	return value;
};
// A code's table: by its next 15 bits, as they come, symbol << 4 | length.
const tableOf = (lengths) => {
	const table = new Uint16Array(32768);
	let code = 0;
	for (let length = 1; length < 16; length++) {
		lengths.forEach((each, symbol) => {
			if (each !== length) return;
			let low = 0;
			for (let i = 0; i < length; i++) low |= ((code >> i) & 1) << (length - 1 - i);
			for (; low < 32768; low += 1 << length) table[low] = (symbol << 4) | length;
			code++;
		});
		code <<= 1;
	}
	return table;
};
const symbol = (table) => {
	const at = position >> 3;
	const entry = table[((bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16)) >> (position & 7)) & 32767];
	position += entry & 15;
	return entry >> 4;
};
for (let last = 0; !last; ) {
	last = bit();
	bits(2);
	const literals = bits(5) + 257;
	const all = literals + bits(5) + 1;
	const order = [];
	for (let i = bits(4) + 4, k = 0; k < i; k++) order[[16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15][k]] = bits(3);
	const first = tableOf(order);
	const lengths = [];
	while (lengths.length < all) {
		const word = symbol(first);
		let count = 1;
		let value = word;
		if (word > 15) {
			value = word === 16 ? lengths[lengths.length - 1] : 0;
			count = word === 16 ? bits(2) + 3 : word === 17 ? bits(3) + 3 : bits(7) + 11;
		}
		while (count--) lengths.push(value);
	}
	const words = tableOf(lengths.slice(0, literals));
	const distances = tableOf(lengths.slice(literals));
	for (let word; (word = symbol(words)) !== 256; ) {
		if (word < 256) {
			out[size++] = word;
			continue;
		}
		word -= 257;
		let extra = word < 8 || word === 28 ? 0 : (word >> 2) - 1;
		let length = word === 28 ? 258 : word < 8 ? word + 3 : ((4 + (word & 3)) << extra) + 3 + bits(extra);
		word = symbol(distances);
		extra = word < 4 ? 0 : (word >> 1) - 1;
		const back = word < 4 ? word + 1 : ((2 + (word & 1)) << extra) + 1 + bits(extra);
		for (; length; length--, size++) out[size] = out[size - back];
	}
}
const insert = (name, begin, end) => {
	const element = document.createElement(name);
	element.textContent = new TextDecoder().decode(out.subarray(begin, end));
	document.head.append(element);
};
insert('style', 0, STYLE_SIZE);
insert('script', STYLE_SIZE);
