// SPDX-License-Identifier: BSD-3-Clause
// Without a document the bundle shows its model instead of a page: that is how tests look at the bytes that
// are shipped. In a browser this does nothing.
import * as model from './index';

if (typeof document === 'undefined') (globalThis as { pyinstrumentModel?: unknown }).pyinstrumentModel = model;
