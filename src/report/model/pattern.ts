// SPDX-License-Identifier: BSD-3-Clause
// Regular expressions over the profile's texts, within a time budget. They come from the reader, but also
// from links other people made, and the texts from the profiled program: together they may be chosen so
// that matching takes for ever.

const BUDGET_MS = 50;
const LONGEST = 4096;
const PROBE_FROM = 16;
const PROBE_STEP_MS = 4;

/** Quantified groups, back references or several open quantifiers: what can take exponential or high polynomial time. */
function isRisky(source: string): boolean {
	const plain = source.replace(/\\[^1-9k]/g, '_').replace(/\[[^\]]*\]/g, '_');
	return /\)\s*[*+{]/.test(plain) || /\\[1-9k]/.test(plain) || (plain.match(/[*+]|\{\d*,\d*\}/g)?.length ?? 0) >= 3;
}

export class Pattern {
	/** Set when the expression does not compile or took too long; then nothing more matches. */
	error: string | undefined;
	private regex: RegExp | null = null;
	private readonly risky: boolean;
	private spent = 0;

	constructor(
		source: string,
		ignoreCase = false,
		private readonly budget = BUDGET_MS,
	) {
		const flags = ignoreCase ? 'i' : '';
		this.risky = isRisky(source);
		try {
			if (source.length > LONGEST) throw new Error('the expression is longer than 4096 characters');
			try {
				this.regex = new RegExp(source, `${flags}u`);
			} catch {
				this.regex = new RegExp(source, flags); // escapes that only the older dialect takes
			}
		} catch (error) {
			this.error = (error as Error).message;
		}
	}

	test(text: string): boolean {
		if (!this.regex) return false;
		const subject = text.length > LONGEST ? text.slice(0, LONGEST) : text;
		const from = performance.now();
		const result = this.risky && subject.length > PROBE_FROM ? this.probe(subject) : this.regex.test(subject);
		this.spent += performance.now() - from;
		if (this.spent > this.budget && this.regex) this.giveUp();
		return result;
	}

	/**
	 * A running match cannot be stopped, so its cost is found out on growing pieces of the text: two
	 * characters more at a time while short, where exponential ones explode; then an eighth more.
	 */
	private probe(text: string): boolean {
		for (let length = PROBE_FROM; length < text.length; length += Math.max(2, length >> 3)) {
			const from = performance.now();
			this.regex!.test(text.slice(0, length));
			if (performance.now() - from > PROBE_STEP_MS) {
				this.giveUp();
				return false;
			}
		}
		return this.regex!.test(text);
	}

	private giveUp(): void {
		this.regex = null;
		this.error = 'the expression takes too long on the names of this profile';
	}
}
