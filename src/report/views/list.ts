// SPDX-License-Identifier: BSD-3-Clause
// A list of any length drawn with as many elements as fit the window. Rows are made once and filled
// again as they come into sight. Above 750 000 rows the scroll bar is scaled: Chromium caps an element's
// height at 33 554 428 px and Firefox at about half of that.

export interface ListRows {
	create(): HTMLElement;
	fill(element: HTMLElement, index: number): void;
	/** After every drawing: the first row at the top edge. */
	drawn?(first: number): void;
}

export const MAX_HEIGHT = 16_500_000;
const OVERSCAN = 3;

export class VirtualList {
	count = 0;
	rowHeight = 22;
	width = 0; // read once a resize: asking while rows are filled would lay the page out for each
	private readonly inner: HTMLElement;
	private pool: HTMLElement[] = [];
	private holds: number[] = []; // pool element -> row it shows, -1 none
	private top = 0; // px of the unscaled list
	private expected = -1; // scroll position we set ourselves
	private height = 0;
	private readonly observer: ResizeObserver | null = null;

	constructor(
		readonly scroller: HTMLElement,
		private readonly rows: ListRows,
	) {
		this.inner = document.createElement('div');
		this.inner.className = 'rows-in';
		this.inner.setAttribute('role', 'presentation');
		scroller.appendChild(this.inner);
		scroller.addEventListener('scroll', this.onScroll, { passive: true });
		scroller.addEventListener('wheel', this.onWheel, { passive: false });
		if (typeof ResizeObserver !== 'undefined') {
			this.observer = new ResizeObserver(() => this.measure());
			this.observer.observe(scroller);
		}
		this.measure();
	}

	close(): void {
		this.observer?.disconnect();
		this.scroller.removeEventListener('scroll', this.onScroll);
		this.scroller.removeEventListener('wheel', this.onWheel);
		this.inner.remove();
	}

	/** New content: everything in sight is filled again. */
	reset(count: number): void {
		this.count = count;
		this.inner.style.height = `${Math.min(count * this.rowHeight, MAX_HEIGHT)}px`;
		this.moveTo(this.top);
		this.refresh();
	}

	refresh(): void {
		this.holds.fill(-1);
		this.draw();
	}

	/** Scrolls as little as needed so that row `index` stands below the first `covered` rows. */
	reveal(index: number, covered = 0): void {
		const from = index * this.rowHeight;
		if (from < this.top + covered * this.rowHeight) this.moveTo(from - covered * this.rowHeight);
		else if (from + this.rowHeight > this.top + this.height) this.moveTo(from + this.rowHeight - this.height);
		else return;
		this.draw();
	}

	moveToRow(index: number): void {
		this.moveTo(index * this.rowHeight);
		this.draw();
	}

	/** Row at the top edge, and how many whole rows the window holds. */
	get first(): number {
		return Math.max(0, Math.min(this.count - 1, Math.floor(this.top / this.rowHeight)));
	}
	get offset(): number {
		return this.top;
	}
	get page(): number {
		return Math.max(1, Math.floor(this.height / this.rowHeight) - 1);
	}

	elementOf(index: number): HTMLElement | null {
		if (!this.pool.length) return null;
		const slot = index % this.pool.length;
		return this.holds[slot] === index ? this.pool[slot] : null;
	}

	private measure(): void {
		const row = parseFloat(getComputedStyle(document.documentElement).getPropertyValue('--row')) || 22;
		const height = this.scroller.clientHeight;
		const width = this.scroller.clientWidth;
		if (row === this.rowHeight && height === this.height && width === this.width) return;
		this.width = width;
		this.height = height;
		this.rowHeight = row;
		const wanted = Math.ceil(height / row) + 2 * OVERSCAN + 1;
		if (wanted !== this.pool.length) {
			for (const element of this.pool.splice(wanted)) element.remove();
			while (this.pool.length < wanted) {
				const element = this.rows.create();
				element.hidden = true;
				this.pool.push(element);
				this.inner.appendChild(element);
			}
			this.holds = new Array(wanted).fill(-1);
		}
		this.reset(this.count);
	}

	private get full(): number {
		return this.count * this.rowHeight;
	}
	private get scaled(): boolean {
		return this.full > MAX_HEIGHT;
	}

	private moveTo(px: number): void {
		this.top = Math.max(0, Math.min(px, this.full - this.height));
		const room = MAX_HEIGHT - this.height;
		const position = this.scaled ? (this.top / (this.full - this.height)) * room : this.top;
		if (Math.abs(this.scroller.scrollTop - position) >= 1) {
			this.scroller.scrollTop = position;
			this.expected = this.scroller.scrollTop;
		}
	}

	private onScroll = (): void => {
		const position = this.scroller.scrollTop;
		if (position === this.expected) {
			this.expected = -1;
			if (this.scaled) return;
		}
		this.expected = -1;
		this.top = this.scaled ? (position / (MAX_HEIGHT - this.height)) * (this.full - this.height) : position;
		this.draw();
	};

	// One pixel of a scaled bar is many rows, so the wheel moves the list itself.
	private onWheel = (event: WheelEvent): void => {
		if (!this.scaled || event.ctrlKey || !event.deltaY) return;
		event.preventDefault();
		this.moveTo(this.top + event.deltaY * (event.deltaMode === 1 ? this.rowHeight : event.deltaMode === 2 ? this.height : 1));
		this.draw();
	};

	private draw(): void {
		const size = this.pool.length;
		const first = Math.max(0, Math.floor(this.top / this.rowHeight) - OVERSCAN);
		const shift = this.scaled ? this.scroller.scrollTop - this.top : 0;
		for (let step = 0; step < size; step++) {
			const index = first + step;
			const slot = index % size;
			const element = this.pool[slot];
			if (index >= this.count) {
				if (this.holds[slot] !== -2) {
					element.hidden = true;
					this.holds[slot] = -2;
				}
				continue;
			}
			if (this.holds[slot] !== index) {
				if (element.hidden) element.hidden = false;
				this.holds[slot] = index;
				this.rows.fill(element, index);
				element.style.transform = `translateY(${index * this.rowHeight + shift}px)`;
			} else if (this.scaled) {
				element.style.transform = `translateY(${index * this.rowHeight + shift}px)`;
			}
		}
		this.rows.drawn?.(this.first);
	}
}
