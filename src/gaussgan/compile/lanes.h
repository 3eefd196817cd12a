/* Arithmetic on lanes. A lane is one of W replicas; with W = 1 the types are plain numbers, for a program of one run.
 *
 * Every operation is defined by IEEE 754 lane by lane: there is no -ffast-math, a product and a sum are fused only where
 * the program says fma, and sums have a fixed order. So a replica's numbers do not depend on W, on its lane, on the other
 * lanes or on the vector instructions of the CPU. The functions of floats below are polynomials for the same reason.
 * Their largest errors, against mpmath: exp 1, log 0.8, log1p 0.8, tanh 4, sigmoid 2.5 ulp. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#ifndef W
#if defined(__AVX512F__)
#define W 16
#elif defined(__AVX__)
#define W 8
#else
#define W 4
#endif
#endif

#define INLINE static inline __attribute__((always_inline))
#define LANES for (int l = 0; l < W; l++)

#if W > 1
typedef float F __attribute__((vector_size(4 * W), aligned(4 * W)));
typedef double D __attribute__((vector_size(8 * W), aligned(8 * W)));
typedef int32_t I __attribute__((vector_size(4 * W), aligned(4 * W)));
typedef int64_t J __attribute__((vector_size(8 * W), aligned(8 * W)));
#define LANE(x, l) (x)[l]
#define CONVERT(x, T) __builtin_convertvector(x, T)
#else
typedef float F;
typedef double D;
typedef int32_t I;
typedef int64_t J;
#define LANE(x, l) (x)
#define CONVERT(x, T) (T)(x)
#endif
#define FtoD(x) CONVERT(x, D)
#define DtoF(x) CONVERT(x, F)

INLINE F allF(float x) { return x - (F){0}; }
INLINE D allD(double x) { return x - (D){0}; }
INLINE I bitsF(F x) { I y; memcpy(&y, &x, sizeof y); return y; }
INLINE F unbitsF(I x) { F y; memcpy(&y, &x, sizeof y); return y; }
INLINE J bitsD(D x) { J y; memcpy(&y, &x, sizeof y); return y; }
INLINE D unbitsD(J x) { D y; memcpy(&y, &x, sizeof y); return y; }

/* Choose x where a comparison holds, else z. A comparison of vectors is −1 (all bits) where it holds. */
#if W > 1
INLINE F chooseF(I holds, F x, F z) { return unbitsF((bitsF(x) & holds) | (bitsF(z) & ~holds)); }
INLINE D chooseD(J holds, D x, D z) { return unbitsD((bitsD(x) & holds) | (bitsD(z) & ~holds)); }
#else
INLINE F chooseF(I holds, F x, F z) { return holds ? x : z; }
INLINE D chooseD(J holds, D x, D z) { return holds ? x : z; }
#endif

/* x y + z, rounded once where the CPU can; and square roots. */
#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
#define FMA(T, t) \
  INLINE T fma##T(T x, T y, T z) { T r; LANES LANE(r, l) = __builtin_fma##t(LANE(x, l), LANE(y, l), LANE(z, l)); return r; }
#else
#define FMA(T, t) INLINE T fma##T(T x, T y, T z) { return x * y + z; }
#endif
#define SQRT(T, t) INLINE T sqrt##T(T x) { T r; LANES LANE(r, l) = __builtin_sqrt##t(LANE(x, l)); return r; }
FMA(D, ) SQRT(D, )
#if W == 16 && defined(__AVX512F__)
INLINE F fmaF(F x, F y, F z) { return (F)_mm512_fmadd_ps((__m512)x, (__m512)y, (__m512)z); }
INLINE F sqrtF(F x) { return (F)_mm512_sqrt_ps((__m512)x); }
#elif W == 8 && defined(__FMA__)
INLINE F fmaF(F x, F y, F z) { return (F)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)z); }
INLINE F sqrtF(F x) { return (F)_mm256_sqrt_ps((__m256)x); }
#else
FMA(F, f) SQRT(F, f)
#endif

/* A truth value is 1.0f or 0.0f, whatever is compared. A NaN stays one in max and min. */
#define COMPARE(name, op) \
  INLINE F name##F(F x, F z) { return chooseF(x op z, allF(1), allF(0)); } \
  INLINE F name##D(D x, D z) { return chooseF(CONVERT(x op z, I), allF(1), allF(0)); }
COMPARE(gt, >) COMPARE(lt, <) COMPARE(ge, >=) COMPARE(le, <=) COMPARE(eq, ==) COMPARE(ne, !=)
INLINE F whereF(F c, F x, F z) { return chooseF(c != allF(0), x, z); }
INLINE D whereD(F c, D x, D z) { return chooseD(CONVERT(c != allF(0), J), x, z); }
INLINE F absF(F x) { return unbitsF(bitsF(x) & 0x7fffffff); }
INLINE D absD(D x) { return unbitsD(bitsD(x) & 0x7fffffffffffffff); }

/* A function of the C library, lane by lane. */
#define CALL(T, name, function) INLINE T name##T(T x) { T y; LANES LANE(y, l) = function(LANE(x, l)); return y; }
#define CALL2(T, name, function) \
  INLINE T name##T(T x, T z) { T y; LANES LANE(y, l) = function(LANE(x, l), LANE(z, l)); return y; }
#define BOTH(T, t) \
  INLINE T max##T(T x, T z) { return choose##T((x > z) | (x != x), x, z); } \
  INLINE T min##T(T x, T z) { return choose##T((x < z) | (x != x), x, z); } \
  INLINE T atleast##T(T x, T limit) { return choose##T(x < limit, limit, x); } \
  INLINE T atmost##T(T x, T limit) { return choose##T(x > limit, limit, x); } \
  INLINE T sign##T(T x) { return choose##T(x > all##T(0), all##T(1), choose##T(x < all##T(0), all##T(-1), all##T(0))); } \
  CALL(T, floor, floor##t) CALL(T, ceil, ceil##t) CALL(T, round, nearbyint##t) CALL(T, trunc, trunc##t) \
  CALL(T, sin, sin##t) CALL(T, cos, cos##t) CALL(T, tan, tan##t) CALL(T, atan, atan##t) \
  CALL(T, asin, asin##t) CALL(T, acos, acos##t) CALL(T, sinh, sinh##t) CALL(T, cosh, cosh##t) \
  CALL(T, erf, erf##t) CALL(T, erfc, erfc##t) CALL(T, expm1, expm1##t) CALL2(T, pow, pow##t) CALL2(T, atan2, atan2##t)
BOTH(F, f)
BOTH(D, )
CALL(D, exp, exp) CALL(D, log, log) CALL(D, log1p, log1p) CALL(D, tanh, tanh)
INLINE D sigmoidD(D x) { return allD(1) / (allD(1) + expD(-x)); }

#if W == 1
/* Vectors of 32 bytes, for the products of matrices of a program of one run. */
#define VECTOR(V, T, expression) \
  typedef T V __attribute__((vector_size(32))); \
  typedef T V##_in_memory __attribute__((vector_size(32), aligned(4), may_alias)); \
  INLINE V all##V(T x) { return x - (V){0}; } \
  INLINE V load##V(const T *p) { return *(const V##_in_memory *)p; } \
  INLINE void store##V(T *p, V x) { *(V##_in_memory *)p = x; } \
  INLINE V fma##V(V x, V y, V z) { return expression; }
#if defined(__AVX__) && defined(__FMA__)
VECTOR(VF, float, (VF)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)z))
VECTOR(VD, double, (VD)_mm256_fmadd_pd((__m256d)x, (__m256d)y, (__m256d)z))
#else
#define EACH(f, n) ({ for (int l = 0; l < n; l++) z[l] = f(x[l], y[l], z[l]); z; })
VECTOR(VF, float, EACH(fmaF, 8))
VECTOR(VD, double, EACH(fmaD, 4))
#endif
#endif

INLINE F nearest(F x) { return (x + 12582912.0f) - 12582912.0f; } /* the whole number nearest to x, |x| < 2^22 */

/* exp x = 2^n exp r with x = n log 2 + r, |r| <= log(2) / 2. The polynomial and the two parts of log 2 are those of the
 * Cephes library (expf.c, Moshier). Overflows to infinity above 88.7228; below -87.3 results are 0 as subnormals are. */
INLINE F expF(F x) {
  F n = nearest(atleastF(atmostF(x, allF(90.0f)), allF(-90.0f)) * 1.44269504088896341f);
  F r = fmaF(n, allF(-0.693359375f), x), y;
  r = fmaF(n, allF(2.12194440e-4f), r);
  y = fmaF(allF(1.9875691500e-4f), r, allF(1.3981999507e-3f));
  y = fmaF(y, r, allF(8.3334519073e-3f));
  y = fmaF(y, r, allF(4.1665795894e-2f));
  y = fmaF(y, r, allF(1.6666665459e-1f));
  y = fmaF(y, r, allF(5.0000001201e-1f));
  y = fmaF(y, r * r, r) + 1.0f;
  F h = nearest(n * 0.5f); /* 2^n as a product, because 2^128 is no float */
  y = y * unbitsF((CONVERT(h, I) + 127) << 23) * unbitsF((CONVERT(n - h, I) + 127) << 23);
  y = chooseF(x > allF(88.7228394f), allF(INFINITY), y);
  y = chooseF(x < allF(-87.3365479f), allF(0.0f), y);
  return chooseF(x == x, y, x);
}

/* log of m 2^e with m in [sqrt(1/2), sqrt(2)), plus `lost`; the polynomial in m - 1 is that of Cephes (logf.c). */
INLINE F log_of(F u, F lost) {
  I e = (bitsF(u) - 0x3f3504f3) >> 23;
  F m = unbitsF(bitsF(u) - (e << 23)) - 1.0f, k = CONVERT(e, F), z = m * m, y;
  y = fmaF(allF(7.0376836292e-2f), m, allF(-1.1514610310e-1f));
  y = fmaF(y, m, allF(1.1676998740e-1f));
  y = fmaF(y, m, allF(-1.2420140846e-1f));
  y = fmaF(y, m, allF(1.4249322787e-1f));
  y = fmaF(y, m, allF(-1.6668057665e-1f));
  y = fmaF(y, m, allF(2.0000714765e-1f));
  y = fmaF(y, m, allF(-2.4999993993e-1f));
  y = fmaF(y, m, allF(3.3333331174e-1f));
  y = y * m * z;
  y = fmaF(k, allF(-2.12194440e-4f), y);
  y = fmaF(allF(-0.5f), z, y) + lost;
  y = fmaF(k, allF(0.693359375f), m + y);
  y = chooseF(u < allF(INFINITY), y, u); /* infinity and NaN */
  y = chooseF(u < allF(1.17549435e-38f), allF(-INFINITY), y);
  return chooseF(u < allF(0.0f), allF(NAN), y);
}
INLINE F logF(F x) { return log_of(x, allF(0.0f)); }
/* log(1 + x): what rounding took from u = 1 + x is added to first order (Kahan; Higham 2002, section 1.14). */
INLINE F log1pF(F x) {
  F u = x + 1.0f, lost = (x - (u - 1.0f)) / u;
  return log_of(u, chooseF(u < allF(INFINITY), lost, allF(0.0f)));
}

/* tanh x = (x + x^3 p(x^2)) / q(x^2) up to |x| = 8.06, where the fraction is 1. The coefficients are a fit of the
 * smallest relative error up to 8.5 (Lawson 1961), changed by a few ulp to the floats with the smallest error. */
INLINE F tanhF(F x) {
  F c = atleastF(atmostF(x, allF(8.0607f)), allF(-8.0607f)), s = c * c, p, q;
  p = fmaF(s, allF(1.433303343e-8f), allF(2.129939458e-5f));
  p = fmaF(s, p, allF(3.537080018e-3f));
  p = fmaF(s, p, allF(1.341585964e-1f));
  q = fmaF(s, allF(8.171890613e-7f), allF(3.353774955e-4f));
  q = fmaF(s, q, allF(2.603449114e-2f));
  q = fmaF(s, q, allF(4.674918950e-1f));
  q = fmaF(s, q, allF(1.0f));
  return fmaF(c * s, p, c) / q;
}
INLINE F sigmoidF(F x) { return 1.0f / (1.0f + expF(-x)); }

/* Numbers below 1.2e-38 count as 0, as in the eager mode: arithmetic with them is very slow. */
INLINE unsigned flush_subnormals(void) {
#if defined(__x86_64__)
  unsigned before = _mm_getcsr();
  _mm_setcsr(before | 0x8040);
  return before;
#else
  return 0;
#endif
}
INLINE void restore_subnormals(unsigned before) {
#if defined(__x86_64__)
  _mm_setcsr(before);
#else
  (void)before;
#endif
}
