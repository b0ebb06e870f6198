"""CRC-32C of log records, stored messages and database values.

Castagnoli's polynomial because x86 (SSE 4.2) and ARMv8 have an instruction for it; both are chosen at run time, with a
slicing-by-eight table where neither exists.  The code is C in this file so that every module that cimports it gets it
inlined; it owns no state but the table, which is filled before `main` runs.
"""

from libc.stddef cimport size_t
from libc.stdint cimport uint32_t


cdef extern from *:
    """
    #ifndef LEAFBOX_CRC32C
    #define LEAFBOX_CRC32C
    #include <stdint.h>
    #include <stddef.h>
    #include <string.h>

    static uint32_t leafbox_crc_table[8][256];
    static int leafbox_crc_hardware = 0;

    #if defined(__x86_64__)
    #include <nmmintrin.h>
    __attribute__((target("sse4.2")))
    static uint32_t leafbox_crc_fast(uint32_t crc, const unsigned char *p, size_t n) {
        uint64_t wide = crc;
        while (n >= 8) { uint64_t word; memcpy(&word, p, 8); wide = _mm_crc32_u64(wide, word); p += 8; n -= 8; }
        crc = (uint32_t)wide;
        while (n--) crc = _mm_crc32_u8(crc, *p++);
        return crc;
    }
    static int leafbox_crc_detect(void) { __builtin_cpu_init(); return __builtin_cpu_supports("sse4.2"); }
    #elif defined(__aarch64__)
    #include <arm_acle.h>
    #include <sys/auxv.h>
    #include <asm/hwcap.h>
    __attribute__((target("+crc")))
    static uint32_t leafbox_crc_fast(uint32_t crc, const unsigned char *p, size_t n) {
        while (n >= 8) { uint64_t word; memcpy(&word, p, 8); crc = __builtin_aarch64_crc32cx(crc, word); p += 8; n -= 8; }
        while (n--) crc = __builtin_aarch64_crc32cb(crc, *p++);
        return crc;
    }
    static int leafbox_crc_detect(void) { return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0; }
    #else
    static uint32_t leafbox_crc_fast(uint32_t crc, const unsigned char *p, size_t n) { (void)p; (void)n; return crc; }
    static int leafbox_crc_detect(void) { return 0; }
    #endif

    __attribute__((constructor))
    static void leafbox_crc_prepare(void) {
        for (uint32_t i = 0; i < 256; i++) {
            uint32_t c = i;
            for (int k = 0; k < 8; k++) c = (c & 1) ? (c >> 1) ^ 0x82F63B78u : c >> 1;
            leafbox_crc_table[0][i] = c;
        }
        for (uint32_t i = 0; i < 256; i++)
            for (int t = 1; t < 8; t++) {
                uint32_t c = leafbox_crc_table[t - 1][i];
                leafbox_crc_table[t][i] = leafbox_crc_table[0][c & 0xFF] ^ (c >> 8);
            }
        leafbox_crc_hardware = leafbox_crc_detect();
    }

    static uint32_t leafbox_crc_plain(uint32_t crc, const unsigned char *p, size_t n) {
        while (n >= 8) {
            uint32_t a = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
            a ^= crc;
            crc = leafbox_crc_table[7][a & 0xFF] ^ leafbox_crc_table[6][(a >> 8) & 0xFF]
                ^ leafbox_crc_table[5][(a >> 16) & 0xFF] ^ leafbox_crc_table[4][a >> 24]
                ^ leafbox_crc_table[3][p[4]] ^ leafbox_crc_table[2][p[5]]
                ^ leafbox_crc_table[1][p[6]] ^ leafbox_crc_table[0][p[7]];
            p += 8; n -= 8;
        }
        while (n--) crc = leafbox_crc_table[0][(crc ^ *p++) & 0xFF] ^ (crc >> 8);
        return crc;
    }

    /* Pass the result of one call as `crc` of the next to continue over split bytes; start with 0. */
    static inline uint32_t leafbox_crc32c(uint32_t crc, const void *data, size_t size) {
        const unsigned char *p = (const unsigned char *)data;
        crc = ~crc;
        crc = leafbox_crc_hardware ? leafbox_crc_fast(crc, p, size) : leafbox_crc_plain(crc, p, size);
        return ~crc;
    }
    static inline uint32_t leafbox_crc32c_plain(uint32_t crc, const void *data, size_t size) {
        return ~leafbox_crc_plain(~crc, (const unsigned char *)data, size);
    }
    #endif
    """
    uint32_t crc32c "leafbox_crc32c"(uint32_t crc, const void *data, size_t size) noexcept nogil
    uint32_t crc32c_plain "leafbox_crc32c_plain"(uint32_t crc, const void *data, size_t size) noexcept nogil
    int crc32c_hardware "leafbox_crc_hardware"
