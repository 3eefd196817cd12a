// Vectors of floats, one for each lane of a SIMD register, and the functions of them that limit.c needs.
#pragma once
#include <math.h>
#include <stdint.h>

#ifdef __AVX512F__
enum { LANES = 16 };
#else
enum { LANES = 8 };
#endif
typedef float Real __attribute__((vector_size(4 * LANES)));
typedef uint32_t Word __attribute__((vector_size(4 * LANES)));
typedef int32_t Int __attribute__((vector_size(4 * LANES)));

#define LANEWISE(y, expression) for (int lane = 0; lane < LANES; lane++) (y)[lane] = (expression)
#define INLINE static inline __attribute__((always_inline))

INLINE Real all(float x) { return x - (Real){0}; }
INLINE Real clip(Real x, float bound) { LANEWISE(x, fminf(fmaxf(x[lane], -bound), bound)); return x; }
INLINE Real root(Real x) { LANEWISE(x, sqrtf(x[lane])); return x; }

// tanh as a quotient of polynomials with odd and even powers: the coefficients of Eigen's ptanh_float (MPL 2.0)
INLINE Real tanh_(Real x) {
  x = clip(x, 7.90531110763549805f);
  Real s = x * x, p = s * -2.76076847742355e-16f + 2.00018790482477e-13f, q = s * 1.19825839466702e-06f;
  p = s * (s * (s * p - 8.60467152213735e-11f) + 5.12229709037114e-08f) + 1.48572235717979e-05f;
  p = s * (s * p + 6.37261928875436e-04f) + 4.89352455891786e-03f;
  q = s * (s * (q + 1.18534705686654e-04f) + 2.26843463243900e-03f) + 4.89352518554385e-03f;
  return x * p / q;
}
INLINE Real sigmoid(Real x) { return 0.5f + 0.5f * tanh_(0.5f * x); }

// xoshiro128+ (Blackman and Vigna 2018) in each lane; its seeds come from splitmix64.
typedef struct { Word s[4]; } Rng;

static void seed(Rng *rng, uint64_t state) {
  for (int i = 0; i < 4 * LANES; i++) {
    uint64_t y = state += 0x9E3779B97F4A7C15u;
    y = (y ^ (y >> 30)) * 0xBF58476D1CE4E5B9u;
    y = (y ^ (y >> 27)) * 0x94D049BB133111EBu;
    rng->s[i % 4][i / 4] = (uint32_t)(y >> 32);
  }
}
INLINE Word next(Rng *rng) {
  Word *s = rng->s, sum = s[0] + s[3], shifted = s[1] << 9;
  s[2] ^= s[0], s[3] ^= s[1], s[1] ^= s[2], s[0] ^= s[3], s[2] ^= shifted;
  s[3] = (s[3] << 11) | (s[3] >> 21);
  return sum;
}
INLINE Real uniform(Rng *rng) { return (__builtin_convertvector((Int)(next(rng) >> 8), Real) + 0.5f) * 0x1p-24f; }

// Two numbers from N(0, 1) for each lane, by the formula of Box and Muller.
INLINE void normal(Rng *rng, Real *pair) {
  Real radius = uniform(rng), angle = uniform(rng) * 6.2831853f;
  LANEWISE(radius, sqrtf(-2 * logf(radius[lane])));
  LANEWISE(pair[0], radius[lane] * cosf(angle[lane]));
  LANEWISE(pair[1], radius[lane] * sinf(angle[lane]));
}
