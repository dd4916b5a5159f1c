/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * layout.h - byte offsets of the interpreter structures of one CPython.
 *
 * One list of fields (PYI_LAYOUT_FIELDS) makes the struct, the generator's output, the table's
 * test and the debug dump. Offsets are bytes from the start of the named C structure in
 * CPython's own headers; a field a version does not have is PYI_NO_FIELD. Sizes end in _size.
 *
 * Sources, in this order: the _Py_DebugOffsets table in the target (3.13+), rows generated from
 * headers and debug information of real interpreters (layout_table.inc).
 */
#ifndef PYI_CPYTHON_LAYOUT_H
#define PYI_CPYTHON_LAYOUT_H

#include "attach/memory/memory.h"
#include "attach/runtime.h"
#include <pyinstrument/error.h>

#define PYI_NO_FIELD UINT32_MAX

/* F(our name, C structure, C member path). What was renamed has alternatives, divided by "|": the
 * generator tries them in turn. */
#define PYI_LAYOUT_FIELDS(F)                                                                       \
    F(runtime_size, "_PyRuntimeState", "sizeof")                                                   \
    F(runtime_interpreters_head, "_PyRuntimeState", "interpreters.head")                           \
    F(runtime_interpreters_main, "_PyRuntimeState", "interpreters.main")                           \
    F(runtime_finalizing, "_PyRuntimeState", "_finalizing|finalizing")                             \
    F(runtime_tstate_current, "_PyRuntimeState", "gilstate.tstate_current")                        \
    F(runtime_main_thread, "_PyRuntimeState", "main_thread|ceval.pending.main_thread")             \
    F(runtime_initialized, "_PyRuntimeState", "initialized")                                       \
    F(runtime_gil_last_holder, "_PyRuntimeState", "ceval.gil.last_holder")                         \
    F(runtime_gil_locked, "_PyRuntimeState", "ceval.gil.locked")                                   \
    F(runtime_gc_collecting, "_PyRuntimeState", "gc.collecting")                                   \
    F(interp_size, "PyInterpreterState", "sizeof")                                                 \
    F(interp_next, "PyInterpreterState", "next")                                                   \
    F(interp_id, "PyInterpreterState", "id")                                                       \
    F(interp_threads_head, "PyInterpreterState", "threads.head|tstate_head")                       \
    F(interp_threads_main, "PyInterpreterState", "threads.main|threads_main")                      \
    F(interp_modules, "PyInterpreterState", "imports.modules|modules")                             \
    F(interp_sysdict, "PyInterpreterState", "sysdict")                                             \
    F(interp_finalizing, "PyInterpreterState", "finalizing")                                       \
    F(interp_finalizing_tstate, "PyInterpreterState", "_finalizing")                               \
    F(interp_gc_collecting, "PyInterpreterState", "gc.collecting")                                 \
    F(interp_gc_frame, "PyInterpreterState", "gc.frame")                                           \
    F(interp_ceval_gil, "PyInterpreterState", "ceval.gil")                                         \
    F(interp_code_generation, "PyInterpreterState", "_code_object_generation")                     \
    F(tstate_size, "PyThreadState", "sizeof")                                                      \
    F(tstate_next, "PyThreadState", "next")                                                        \
    F(tstate_interp, "PyThreadState", "interp")                                                    \
    F(tstate_frame, "PyThreadState", "frame")                                                      \
    F(tstate_cframe, "PyThreadState", "cframe")                                                    \
    F(tstate_current_frame, "PyThreadState", "current_frame")                                      \
    F(tstate_base_frame, "PyThreadState", "base_frame")                                            \
    F(tstate_status, "PyThreadState", "_status")                                                   \
    F(tstate_holds_gil, "PyThreadState", "holds_gil")                                              \
    F(tstate_gil_requested, "PyThreadState", "gil_requested")                                      \
    F(tstate_state, "PyThreadState", "state")                                                      \
    F(tstate_id, "PyThreadState", "id")                                                            \
    F(tstate_thread_id, "PyThreadState", "thread_id")                                              \
    F(tstate_native_thread_id, "PyThreadState", "native_thread_id")                                \
    F(tstate_current_exception, "PyThreadState", "current_exception|curexc_type")                  \
    F(tstate_exc_info, "PyThreadState", "exc_info")                                                \
    F(tstate_datastack_chunk, "PyThreadState", "datastack_chunk")                                  \
    F(tstate_datastack_top, "PyThreadState", "datastack_top")                                      \
    F(tstate_datastack_limit, "PyThreadState", "datastack_limit")                                  \
    F(cframe_current_frame, "_PyCFrame", "current_frame")                                          \
    F(frameobject_size, "PyFrameObject", "sizeof")                                                 \
    F(frameobject_back, "PyFrameObject", "f_back")                                                 \
    F(frameobject_code, "PyFrameObject", "f_code")                                                 \
    F(frameobject_lasti, "PyFrameObject", "f_lasti")                                               \
    F(frameobject_valuestack, "PyFrameObject", "f_valuestack")                                     \
    F(frameobject_stacktop, "PyFrameObject", "f_stacktop")                                         \
    F(frameobject_stackdepth, "PyFrameObject", "f_stackdepth")                                     \
    F(frameobject_executing, "PyFrameObject", "f_executing")                                       \
    F(frameobject_state, "PyFrameObject", "f_state")                                               \
    F(frameobject_localsplus, "PyFrameObject", "f_localsplus")                                     \
    F(iframe_size, "_PyInterpreterFrame", "sizeof")                                                \
    F(iframe_code, "_PyInterpreterFrame", "f_executable|f_code")                                   \
    F(iframe_previous, "_PyInterpreterFrame", "previous")                                          \
    F(iframe_instr, "_PyInterpreterFrame", "instr_ptr|prev_instr")                                 \
    F(iframe_stacktop, "_PyInterpreterFrame", "stackpointer|stacktop")                             \
    F(iframe_is_entry, "_PyInterpreterFrame", "is_entry")                                          \
    F(iframe_return_offset, "_PyInterpreterFrame", "return_offset")                                \
    F(iframe_owner, "_PyInterpreterFrame", "owner")                                                \
    F(iframe_tlbc_index, "_PyInterpreterFrame", "tlbc_index")                                      \
    F(iframe_localsplus, "_PyInterpreterFrame", "localsplus")                                      \
    F(chunk_previous, "_PyStackChunk", "previous")                                                 \
    F(chunk_size_field, "_PyStackChunk", "size")                                                   \
    F(chunk_top, "_PyStackChunk", "top")                                                           \
    F(chunk_data, "_PyStackChunk", "data")                                                         \
    F(code_size, "PyCodeObject", "sizeof")                                                         \
    F(code_argcount, "PyCodeObject", "co_argcount")                                                \
    F(code_kwonlyargcount, "PyCodeObject", "co_kwonlyargcount")                                    \
    F(code_nlocals, "PyCodeObject", "co_nlocals")                                                  \
    F(code_nlocalsplus, "PyCodeObject", "co_nlocalsplus")                                          \
    F(code_framesize, "PyCodeObject", "co_framesize")                                              \
    F(code_stacksize, "PyCodeObject", "co_stacksize")                                              \
    F(code_flags, "PyCodeObject", "co_flags")                                                      \
    F(code_firstlineno, "PyCodeObject", "co_firstlineno")                                          \
    F(code_code, "PyCodeObject", "co_code")                                                        \
    F(code_varnames, "PyCodeObject", "co_varnames")                                                \
    F(code_cellvars, "PyCodeObject", "co_cellvars")                                                \
    F(code_freevars, "PyCodeObject", "co_freevars")                                                \
    F(code_localsplusnames, "PyCodeObject", "co_localsplusnames")                                  \
    F(code_localspluskinds, "PyCodeObject", "co_localspluskinds")                                  \
    F(code_filename, "PyCodeObject", "co_filename")                                                \
    F(code_name, "PyCodeObject", "co_name")                                                        \
    F(code_qualname, "PyCodeObject", "co_qualname")                                                \
    F(code_linetable, "PyCodeObject", "co_linetable|co_lnotab")                                    \
    F(code_version, "PyCodeObject", "co_version")                                                  \
    F(code_firsttraceable, "PyCodeObject", "_co_firsttraceable")                                   \
    F(code_tlbc, "PyCodeObject", "co_tlbc")                                                        \
    F(code_adaptive, "PyCodeObject", "co_code_adaptive")                                           \
    F(code_exceptiontable, "PyCodeObject", "co_exceptiontable")                                    \
    F(code_monitoring, "PyCodeObject", "_co_monitoring")                                           \
    F(code_executors, "PyCodeObject", "co_executors")                                              \
    F(monitoring_lines, "_PyCoMonitoringData", "lines")                                            \
    F(monitoring_instructions, "_PyCoMonitoringData", "per_instruction_opcodes")                   \
    F(executors_items, "_PyExecutorArray", "executors")                                            \
    F(executor_vm_data, "_PyExecutorObject", "vm_data")                                            \
    F(ascii_size, "PyASCIIObject", "sizeof")                                                       \
    F(ascii_length, "PyASCIIObject", "length")                                                     \
    F(ascii_state, "PyASCIIObject", "state")                                                       \
    F(compact_size, "PyCompactUnicodeObject", "sizeof")                                            \
    F(unicode_data, "PyUnicodeObject", "data")                                                     \
    F(ascii_wstr, "PyASCIIObject", "wstr")                                                         \
    F(compact_wstr_length, "PyCompactUnicodeObject", "wstr_length")                                \
    F(bytes_data, "PyBytesObject|PyStringObject", "ob_sval")                                       \
    F(object_size, "PyObject", "sizeof")                                                           \
    F(object_refcnt, "PyObject", "ob_refcnt")                                                      \
    F(object_type, "PyObject", "ob_type")                                                          \
    F(var_size, "PyVarObject", "ob_size")                                                          \
    F(long_tag, "PyLongObject", "long_value.lv_tag|ob_base.ob_size|ob_size")                       \
    F(long_digits, "PyLongObject", "long_value.ob_digit|ob_digit")                                 \
    F(tuple_items, "PyTupleObject", "ob_item")                                                     \
    F(list_items, "PyListObject", "ob_item")                                                       \
    F(dict_used, "PyDictObject", "ma_used")                                                        \
    F(dict_keys, "PyDictObject", "ma_keys")                                                        \
    F(dict_values, "PyDictObject", "ma_values")                                                    \
    F(keys_size, "PyDictKeysObject", "dk_size")                                                    \
    F(keys_log2_size, "PyDictKeysObject", "dk_log2_size")                                          \
    F(keys_log2_index_bytes, "PyDictKeysObject", "dk_log2_index_bytes")                            \
    F(keys_kind, "PyDictKeysObject", "dk_kind")                                                    \
    F(keys_nentries, "PyDictKeysObject", "dk_nentries")                                            \
    F(keys_indices, "PyDictKeysObject", "dk_indices")                                              \
    F(dict_mask, "PyDictObject", "ma_mask")                                                        \
    F(dict_table, "PyDictObject", "ma_table")                                                      \
    F(unicode_length, "PyUnicodeObject", "length")                                                 \
    F(unicode_str, "PyUnicodeObject", "str")                                                       \
    F(int_value, "PyIntObject", "ob_ival")                                                         \
    F(instance_class, "PyInstanceObject", "in_class")                                              \
    F(oldclass_name, "PyClassObject", "cl_name")                                                   \
    F(values_values, "PyDictValues", "values")                                                     \
    F(values_valid, "PyDictValues", "valid")                                                       \
    F(type_name, "PyTypeObject", "tp_name")                                                        \
    F(type_basicsize, "PyTypeObject", "tp_basicsize")                                              \
    F(type_call, "PyTypeObject", "tp_call")                                                        \
    F(type_flags, "PyTypeObject", "tp_flags")                                                      \
    F(type_dictoffset, "PyTypeObject", "tp_dictoffset")                                            \
    F(heaptype_cached_keys, "PyHeapTypeObject", "ht_cached_keys")                                  \
    F(heaptype_qualname, "PyHeapTypeObject", "ht_qualname")                                        \
    F(cfunction_ml, "PyCFunctionObject", "m_ml")                                                   \
    F(cfunction_self, "PyCFunctionObject", "m_self")                                               \
    F(method_func, "PyMethodObject", "im_func")                                                    \
    F(method_self, "PyMethodObject", "im_self")                                                    \
    F(descr_type, "PyDescrObject", "d_type")                                                       \
    F(descr_name, "PyDescrObject", "d_name")                                                       \
    F(methoddescr_method, "PyMethodDescrObject", "d_method")                                       \
    F(gen_name, "PyGenObject", "gi_name")                                                          \
    F(gen_iframe, "PyGenObject", "gi_iframe")                                                      \
    F(gen_frame_state, "PyGenObject", "gi_frame_state")                                            \
    F(cell_ref, "PyCellObject", "ob_ref")                                                          \
    F(module_dict, "PyModuleObject", "md_dict")                                                    \
    F(gil_last_holder, "_gil_runtime_state", "last_holder")                                        \
    F(gil_locked, "_gil_runtime_state", "locked")

struct pyi_layout {
    uint8_t major, minor;
    uint8_t micro_first, micro_last; /* releases this row was measured to hold for */
    bool free_threaded;
#define PYI_LAYOUT_MEMBER(name, structure, member) uint32_t name;
    PYI_LAYOUT_FIELDS(PYI_LAYOUT_MEMBER)
#undef PYI_LAYOUT_MEMBER
};

/** The built-in row that holds for an exact final release, NULL when there is none. */
const struct pyi_layout *pyi_layout_row(uint32_t hexversion, bool free_threaded);
/** Row number `index` of the table, NULL past the end (tests, --diagnose). */
const struct pyi_layout *pyi_layout_row_at(size_t index);

/**
 * The layout of one runtime: a row, overridden by the target's own debug offsets when it has
 * them. For 3.13+ releases newer than every row, the newest row of that minor version stands in
 * for the fields the table lacks only if the table itself has the known shape and size.
 * `assume` ("X.Y" or NULL) forces a minor version: its newest row stands in when the exact release
 * has none. `source` gets one line on where it came from.
 * Errors: VERSION (slug version-old or version-new, the version named, `why` when more is known;
 * no slug for reference-tracing builds), FORMAT (a table that contradicts itself, the runtime or
 * the row of this very release), INVALID (`assume`), FAULT, GONE.
 */
int pyi_layout_read(struct pyi_memory *memory, const struct pyi_runtime *runtime,
                    const char *assume, struct pyi_layout *out, char source[128],
                    struct pyi_error *err) PYI_MUST_CHECK;

#endif
