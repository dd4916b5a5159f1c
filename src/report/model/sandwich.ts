// SPDX-License-Identifier: BSD-3-Clause
// One function from both sides: who called it, and what it calls.
import { invertedTree, viewTree } from './tree';
import { type Filters, NO_FILTERS, type Profile, type Scope, type ViewTree } from './types';

export interface Sandwich {
	callers: ViewTree; // the function first, then who called it
	callees: ViewTree; // the function first, then what it calls
}

/** Both sides of a function, all its calls together. */
export function sandwich(profile: Profile, scope: Scope, func: number, filters: Filters = NO_FILTERS): Sandwich {
	const common: Filters = { ...filters, collapse: 'off', profiler: false, selfRows: false, focusFunc: func, focusNode: null };
	return {
		callers: invertedTree(profile, { ...scope, merged: true }, common),
		callees: viewTree(profile, { ...scope, merged: true }, { ...common, invert: false }),
	};
}
