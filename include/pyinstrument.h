/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * pyinstrument.h - umbrella header of libpyinstrument.
 *
 * The library records Python call stacks of another process, keeps them in sessions,
 * turns sessions into call trees and renders trees as reports. It never prints, never
 * exits and keeps no global state; everything it has to say goes through return codes
 * and a caller-owned struct pyi_error.
 */
#ifndef PYINSTRUMENT_H
#define PYINSTRUMENT_H

#define PYI_VERSION_MAJOR 0
#define PYI_VERSION_MINOR 1
#define PYI_VERSION_PATCH 0
/** Version of this program and library: the only place where it is written. */
#define PYI_VERSION "0.1.0"
/** The upstream pyinstrument release whose reports ours equal byte for byte. */
#define PYI_RENDERS_AS "5.1.3"

#include <pyinstrument/error.h>
#include <pyinstrument/diff.h>
#include <pyinstrument/frame.h>
#include <pyinstrument/recorder.h>
#include <pyinstrument/renderer.h>
#include <pyinstrument/session.h>
#include <pyinstrument/types.h>

#endif
