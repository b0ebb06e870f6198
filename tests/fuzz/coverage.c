/* Coverage of the compiled modules for libFuzzer, from gcc's -fsanitize-coverage=trace-pc.

   libFuzzer counts in tables that clang's instrumentation provides; gcc only calls a function at every edge. This
   file is linked into each module: it provides such a table and counts in it, at the place the caller's address
   hashes to. Hidden, so that each module calls its own copy and not the empty one in libFuzzer. */
#include <stddef.h>
#include <stdint.h>

#define PLACES 16384 /* a module has a few thousand edges: two in one place are rare */

void __sanitizer_cov_8bit_counters_init(uint8_t *start, uint8_t *end);
void __sanitizer_cov_pcs_init(const uintptr_t *start, const uintptr_t *end);

static uint8_t counters[PLACES];
/* Pairs of address and flags, as many as counters. libFuzzer only prints them. */
static uintptr_t places[PLACES][2];

__attribute__((visibility("hidden"), no_sanitize("address"))) void __sanitizer_cov_trace_pc(void)
{
    uint64_t caller = (uint64_t)(uintptr_t)__builtin_return_address(0);
    counters[(caller * UINT64_C(0x9E3779B97F4A7C15)) >> 50]++;
}

__attribute__((constructor, no_sanitize("address"))) static void announce(void)
{
    for (size_t i = 0; i < PLACES; i++)
        places[i][0] = (uintptr_t)&counters[i];
    __sanitizer_cov_8bit_counters_init(counters, counters + PLACES);
    __sanitizer_cov_pcs_init(&places[0][0], &places[PLACES][0]);
}

/* gcc also reports comparisons of floating point numbers, for which libFuzzer has no use. */
__attribute__((visibility("hidden"))) void __sanitizer_cov_trace_cmpf(float a, float b) { (void)a, (void)b; }
__attribute__((visibility("hidden"))) void __sanitizer_cov_trace_cmpd(double a, double b) { (void)a, (void)b; }
