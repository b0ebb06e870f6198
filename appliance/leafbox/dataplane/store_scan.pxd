# Reading log segments back: `read_label`, `survey` and `replay`, called from Python at start-up and by `leafbox store`,
# never from the hot path. The only class other compiled code meets is the visitor it hands to `replay`.
from leafbox.dataplane.journal cimport RecordHeader, RecordVisitor

cdef class RecordCounter(RecordVisitor):
    # kind -> (records, bytes)
    cdef public dict counts
