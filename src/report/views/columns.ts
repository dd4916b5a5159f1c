// SPDX-License-Identifier: BSD-3-Clause
// Boxes too narrow for an outline, by the ten thousand: written as pixels of a picture that is one pixel
// high per row, then stretched. The cost is that of the pixels, however many boxes there are.
const values = new Map<string, number>();
let pen: CanvasRenderingContext2D | null = null;
let picture: HTMLCanvasElement | null = null;
let buffer = new Uint32Array(0);

/** A colour of the style sheet as the four bytes of a pixel. */
function pixel(colour: string): number {
	let value = values.get(colour);
	if (value === undefined) {
		if (!pen) {
			const canvas = document.createElement('canvas');
			canvas.width = canvas.height = 1;
			pen = canvas.getContext('2d', { willReadFrequently: true }) as CanvasRenderingContext2D;
		}
		pen.fillStyle = colour;
		pen.fillRect(0, 0, 1, 1);
		value = new Uint32Array(pen.getImageData(0, 0, 1, 1).data.buffer)[0];
		if (values.size > 200) {
			values.clear();
		}
		values.set(colour, value);
	}
	return value;
}

export class Columns {
	private readonly across: number;
	private used = false;

	constructor(
		private readonly width: number,
		private readonly ratio: number,
		private readonly rows: number,
	) {
		this.across = Math.max(1, Math.round(width * ratio));
		if (buffer.length < this.across * rows) {
			buffer = new Uint32Array(this.across * rows);
		} else {
			buffer.fill(0, 0, this.across * rows);
		}
	}

	put(row: number, left: number, right: number, colour: string): void {
		const begin = Math.min(this.across - 1, Math.floor(left * this.ratio));
		const end = Math.min(this.across, Math.max(begin + 1, Math.round(right * this.ratio)));
		buffer.fill(pixel(colour), row * this.across + begin, row * this.across + end);
		this.used = true;
	}

	/** Paints the rows from `top` on, each `height` high with a gap of one. */
	draw(context: CanvasRenderingContext2D, top: number, height: number): void {
		if (!this.used) {
			return;
		}
		picture ||= document.createElement('canvas');
		if (picture.width !== this.across || picture.height < this.rows) {
			picture.width = this.across;
			picture.height = this.rows;
		}
		const paper = picture.getContext('2d') as CanvasRenderingContext2D;
		const bytes = new Uint8ClampedArray(buffer.buffer, 0, this.across * this.rows * 4);
		paper.putImageData(new ImageData(bytes, this.across, this.rows), 0, 0);
		context.imageSmoothingEnabled = false;
		for (let row = 0; row < this.rows; row++) {
			context.drawImage(picture, 0, row, this.across, 1, 0, top + row * height, this.width, height - 1);
		}
	}
}
