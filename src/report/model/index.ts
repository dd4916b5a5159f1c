// SPDX-License-Identifier: BSD-3-Clause
// The model's whole interface.
export * from './types';
export * from './decode';
export * from './diff';
export * from './exports';
export * from './functions';
export * from './search';
export { timelineIndex } from './timeline';
export { NO_FILTERS } from './types';
export { type Sandwich, sandwich } from './sandwich';
export { emptyTree, invertedTree, rawTree, timeInScope, viewTree } from './tree';
export { Pattern } from './pattern';
export { Weights, firstAfter, prepare, threadsOf, totals, weigh } from './weights';
