// SPDX-License-Identifier: BSD-3-Clause
// The model's whole interface.
export * from './types';
