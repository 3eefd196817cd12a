/* Arithmetic on lanes. A lane is one of W replicas; with W = 1 the types are plain numbers, for a program of one run.
 *
 * Every operation is defined by IEEE 754 lane by lane: there is no -ffast-math, a product and a sum are fused only where
 * the program says fma, and sums have a fixed order. So a replica's numbers do not depend on W, on its lane, on the other
 * lanes or on the vector instructions of the CPU. The functions of floats below are polynomials for the same reason. */
#include <math.h>
#include <stdint.h>
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
#define LANE(x, l) (x)[l]
#define FtoD(x) __builtin_convertvector(x, D)
#define DtoF(x) __builtin_convertvector(x, F)
#define FtoI(x) __builtin_convertvector(x, I)
#define ItoF(x) __builtin_convertvector(x, F)
#else
typedef float F;
typedef double D;
typedef int32_t I;
#define LANE(x, l) (x)
#define FtoD(x) (double)(x)
#define DtoF(x) (float)(x)
#define FtoI(x) (int32_t)(x)
#define ItoF(x) (float)(x)
#endif

INLINE F allF(float x) { F y; LANES LANE(y, l) = x; return y; }
INLINE D allD(double x) { D y; LANES LANE(y, l) = x; return y; }
INLINE I bits(F x) { I y; memcpy(&y, &x, sizeof y); return y; }
INLINE F unbits(I x) { F y; memcpy(&y, &x, sizeof y); return y; }

/* A function of one, two or three lanes, from an expression in a[l], b[l], c[l]. A truth value is 1.0f or 0.0f. */
#define ONE(R, name, T, expression) INLINE R name(T x) { R y; LANES { T##1 a = LANE(x, l); LANE(y, l) = expression; } return y; }
#define TWO(R, name, T, expression) \
  INLINE R name(T x, T z) { R y; LANES { T##1 a = LANE(x, l), b = LANE(z, l); LANE(y, l) = expression; } return y; }
typedef float F1;
typedef double D1;

#if defined(__FMA__) || defined(__ARM_FEATURE_FMA)
INLINE F fmaF(F x, F y, F z) { F r; LANES LANE(r, l) = __builtin_fmaf(LANE(x, l), LANE(y, l), LANE(z, l)); return r; }
INLINE D fmaD(D x, D y, D z) { D r; LANES LANE(r, l) = __builtin_fma(LANE(x, l), LANE(y, l), LANE(z, l)); return r; }
#else
INLINE F fmaF(F x, F y, F z) { return x * y + z; }
INLINE D fmaD(D x, D y, D z) { return x * y + z; }
#endif

#define BOTH(T, t) \
  TWO(F, gt##T, T, a > b ? 1 : 0) TWO(F, lt##T, T, a < b ? 1 : 0) TWO(F, ge##T, T, a >= b ? 1 : 0) \
  TWO(F, le##T, T, a <= b ? 1 : 0) TWO(F, eq##T, T, a == b ? 1 : 0) TWO(F, ne##T, T, a != b ? 1 : 0) \
  TWO(T, max##T, T, a > b || a != a ? a : b) TWO(T, min##T, T, a < b || a != a ? a : b) /* a NaN stays one */ \
  ONE(T, abs##T, T, __builtin_fabs##t(a)) ONE(T, sqrt##T, T, __builtin_sqrt##t(a)) \
  ONE(T, floor##T, T, __builtin_floor##t(a)) ONE(T, ceil##T, T, __builtin_ceil##t(a)) \
  ONE(T, round##T, T, __builtin_nearbyint##t(a)) ONE(T, trunc##T, T, __builtin_trunc##t(a)) \
  ONE(T, sign##T, T, a != a ? a : (a > 0) - (a < 0)) \
  ONE(T, sin##T, T, sin##t(a)) ONE(T, cos##T, T, cos##t(a)) ONE(T, tan##T, T, tan##t(a)) ONE(T, atan##T, T, atan##t(a)) \
  ONE(T, sinh##T, T, sinh##t(a)) ONE(T, cosh##T, T, cosh##t(a)) ONE(T, erf##T, T, erf##t(a)) \
  ONE(T, expm1##T, T, expm1##t(a)) TWO(T, pow##T, T, pow##t(a, b)) TWO(T, atan2##T, T, atan2##t(a, b)) \
  INLINE T where##T(F c, T x, T z) { T y; LANES LANE(y, l) = LANE(c, l) != 0 ? LANE(x, l) : LANE(z, l); return y; }
BOTH(F, f)
BOTH(D, )
ONE(D, expD, D, exp(a)) ONE(D, logD, D, log(a)) ONE(D, log1pD, D, log1p(a)) ONE(D, tanhD, D, tanh(a))
INLINE D sigmoidD(D x) { return allD(1) / (allD(1) + expD(-x)); }

/* exp x = 2^n exp r with x = n log 2 + r, |r| <= log(2) / 2. The polynomial and the two parts of log 2 are those of the
 * Cephes library (expf.c, Moshier). Overflows to infinity above 88.7228; below -87.3 results are 0 as subnormals are. */
INLINE F expF(F x) {
  F n = roundF(maxF(minF(x, allF(90.0f)), allF(-90.0f)) * 1.44269504088896341f);
  F r = fmaF(n, allF(-0.693359375f), x), y;
  r = fmaF(n, allF(2.12194440e-4f), r);
  y = fmaF(allF(1.9875691500e-4f), r, allF(1.3981999507e-3f));
  y = fmaF(y, r, allF(8.3334519073e-3f));
  y = fmaF(y, r, allF(4.1665795894e-2f));
  y = fmaF(y, r, allF(1.6666665459e-1f));
  y = fmaF(y, r, allF(5.0000001201e-1f));
  y = fmaF(y, r * r, r) + 1.0f;
  F h = roundF(n * 0.5f); /* 2^n as a product, because 2^128 is no float */
  y = y * unbits((FtoI(h) + 127) << 23) * unbits((FtoI(n - h) + 127) << 23);
  y = whereF(gtF(x, allF(88.7228394f)), allF(INFINITY), y);
  y = whereF(ltF(x, allF(-87.3365479f)), allF(0.0f), y);
  return whereF(eqF(x, x), y, x);
}

/* log of m 2^e with m in [sqrt(1/2), sqrt(2)), plus `lost`; the polynomial in m - 1 is that of Cephes (logf.c). */
INLINE F log_of(F u, F lost) {
  I e = (bits(u) - 0x3f3504f3) >> 23;
  F m = unbits(bits(u) - (e << 23)) - 1.0f, k = ItoF(e), z = m * m, y;
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
  y = whereF(eqF(u, allF(INFINITY)), u, y);
  y = whereF(ltF(u, allF(1.17549435e-38f)), allF(-INFINITY), y);
  return whereF(ltF(u, allF(0.0f)), allF(NAN), whereF(eqF(u, u), y, u));
}
INLINE F logF(F x) { return log_of(x, allF(0.0f)); }
/* log(1 + x): what rounding took from u = 1 + x is added to first order (Kahan; Higham 2002, section 1.14). */
INLINE F log1pF(F x) {
  F u = x + 1.0f, lost = (x - (u - 1.0f)) / u;
  return log_of(u, whereF(gtF(absF(lost), allF(1.0f)), allF(0.0f), whereF(eqF(lost, lost), lost, allF(0.0f))));
}

/* tanh x = x p(x^2) / q(x^2) up to |x| = 7.9, where tanh rounds to 1: the minimax fraction of Eigen (ptanh_float). */
INLINE F tanhF(F x) {
  F c = maxF(minF(x, allF(7.90531110763549805f)), allF(-7.90531110763549805f)), s = c * c, p, q;
  p = fmaF(s, allF(-2.76076847742355e-16f), allF(2.00018790482477e-13f));
  p = fmaF(s, p, allF(-8.60467152213735e-11f));
  p = fmaF(s, p, allF(5.12229709037114e-08f));
  p = fmaF(s, p, allF(1.48572235717979e-05f));
  p = fmaF(s, p, allF(6.37261928875436e-04f));
  p = fmaF(s, p, allF(4.89352455891786e-03f));
  q = fmaF(s, allF(1.19825839466702e-06f), allF(1.18534705686654e-04f));
  q = fmaF(s, q, allF(2.26843463243900e-03f));
  q = fmaF(s, q, allF(4.89352518554385e-03f));
  return c * p / q;
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
