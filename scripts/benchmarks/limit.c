// The default run in C by hand: what this machine can do on one thread. Each SIMD lane trains one replica.
//
//     cc -O3 -march=native -ffast-math limit.c -o limit -lm && ./limit REPLICAS EPOCHS FILE
//
// It prints the CPU seconds of training and of drawing, per replica and iteration. For each replica, FILE gets eight
// floats: the generator's weight, row by row, its bias, and the mean loss of D and of G in the last epoch. The random
// numbers are its own, so its single runs differ from those of the template.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "simd.h"

enum { EXAMPLES = 1000, BATCH = 8, BATCHES = EXAMPLES / BATCH };

// D has 37 parameters: w1[5][2] b1[5] w2[3][5] b2[3] w3[3] b3. G has 6: w[2][2] b[2].
enum { W1 = 0, B1 = 10, W2 = 15, B2 = 30, W3 = 33, B3 = 36, D = 37, G = 6 };
typedef struct { Real theta[D + G], mean[D + G], square[D + G]; float power1, power2; } Run;

// One Adam step with β = (0.9, 0.999). The denominator is divided by the rate and by the correction of the mean.
INLINE void adam(Run *run, const Real *gradient, int first, int n, float rate) {
  const float slowness = (1 - run->power1) / rate, scale = slowness / sqrtf(1 - run->power2);
  for (int i = 0; i < n; i++) {
    Real *m = &run->mean[first + i], *v = &run->square[first + i], g = gradient[i];
    *m += 0.1f * (g - *m);
    *v += 0.001f * (g * g - *v);
    run->theta[first + i] -= *m / (root(*v) * scale + slowness * (1e-8f / 8));
  }
}

// Return D's logit for one example x, and its hidden units h and k.
INLINE Real forward(const Real *d, const Real *x, Real *h, Real *k) {
  for (int i = 0; i < 5; i++) h[i] = tanh_(d[W1 + 2 * i] * x[0] + d[W1 + 2 * i + 1] * x[1] + d[B1 + i]);
  Real logit = d[B3];
  for (int j = 0; j < 3; j++) {
    Real sum = d[B2 + j];
    for (int i = 0; i < 5; i++) sum += d[W2 + 5 * j + i] * h[i];
    k[j] = tanh_(sum);
    logit += d[W3 + j] * k[j];
  }
  return logit;
}

// From the gradient c of a loss with respect to the logit: the gradients before both layers of tanh.
INLINE void backward(const Real *d, Real c, const Real *h, const Real *k, Real *at_h, Real *at_k) {
  for (int j = 0; j < 3; j++) at_k[j] = c * d[W3 + j] * (1 - k[j] * k[j]);
  for (int i = 0; i < 5; i++) {
    Real sum = all(0);
    for (int j = 0; j < 3; j++) sum += at_k[j] * d[W2 + 5 * j + i];
    at_h[i] = sum * (1 - h[i] * h[i]);
  }
}

// A step of D, then one of G. The arguments are 8 examples x and 8 latents z. A sum of losses −log σ is minus the log
// of a product, so each batch needs one logarithm; `products` gets those of D's two terms and of G's loss.
static void iteration(Run *run, const Real *x, const Real *z, Real *products) {
  const Real *d = run->theta, *g = run->theta + D;
  Real fake[2 * BATCH], gradient[D], h[5], k[3], at_h[5], at_k[3];
  for (int i = 0; i < 2 * BATCH; i += 2) {
    fake[i] = g[0] * z[i] + g[1] * z[i + 1] + g[4];
    fake[i + 1] = g[2] * z[i] + g[3] * z[i + 1] + g[5];
  }
  for (int i = 0; i < D; i++) gradient[i] = all(0);
  for (int term = 0; term < 3; term++) products[term] = all(1);
  for (int n = 0; n < 2 * BATCH; n++) {
    const int real = n < BATCH;
    const Real *in = real ? x + 2 * n : fake + 2 * (n - BATCH), logit = forward(d, in, h, k);
    const Real wrong = sigmoid(real ? -logit : logit), c = wrong * (real ? -0.5f / BATCH : 0.5f / BATCH);
    products[!real] *= 1 - wrong;
    backward(d, c, h, k, at_h, at_k);
    gradient[B3] += c;
    for (int j = 0; j < 3; j++) {
      gradient[W3 + j] += c * k[j];
      gradient[B2 + j] += at_k[j];
      for (int i = 0; i < 5; i++) gradient[W2 + 5 * j + i] += at_k[j] * h[i];
    }
    for (int i = 0; i < 5; i++) {
      gradient[B1 + i] += at_h[i];
      for (int axis = 0; axis < 2; axis++) gradient[W1 + 2 * i + axis] += at_h[i] * in[axis];
    }
  }
  run->power1 *= 0.9f;
  run->power2 *= 0.999f;
  adam(run, gradient, 0, D, 0.05f);

  for (int i = 0; i < G; i++) gradient[i] = all(0);
  for (int n = 0; n < BATCH; n++) {
    const Real logit = forward(d, fake + 2 * n, h, k), wrong = sigmoid(-logit);
    products[2] *= 1 - wrong;
    backward(d, wrong * (-1.0f / BATCH), h, k, at_h, at_k);
    for (int axis = 0; axis < 2; axis++) {
      Real at_x = all(0);
      for (int i = 0; i < 5; i++) at_x += at_h[i] * d[W1 + 2 * i + axis];
      gradient[2 * axis] += at_x * z[2 * n];
      gradient[2 * axis + 1] += at_x * z[2 * n + 1];
      gradient[4 + axis] += at_x;
    }
  }
  adam(run, gradient, D, G, 0.005f);
}

// Copy the examples in a new random order, another one in each lane.
static void shuffle(Rng *rng, const Real *examples, Real *shuffled) {
  const Word start = next(rng);
  for (int lane = 0; lane < LANES; lane++) {
    uint64_t state = (uint64_t)start[lane] << 32 | 1;
    int order[EXAMPLES];
    for (int i = 0; i < EXAMPLES; i++) {
      state = state * 6364136223846793005u + 1442695040888963407u;
      const int j = (int)((state >> 32) * (uint64_t)(i + 1) >> 32);
      order[i] = order[j];
      order[j] = i;
    }
    for (int i = 0; i < 2 * EXAMPLES; i++) shuffled[i][lane] = examples[2 * order[i / 2] + i % 2][lane];
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

int main(int argc, char **argv) {
  if (argc != 4) return fprintf(stderr, "usage: limit REPLICAS EPOCHS FILE\n"), 2;
  const int replicas = atoi(argv[1]), epochs = atoi(argv[2]), groups = (replicas + LANES - 1) / LANES;
  static Real examples[2 * EXAMPLES], x[2 * EXAMPLES], z[2 * EXAMPLES];
  static Run run;
  FILE *file = fopen(argv[3], "wb");
  if (!file) return perror(argv[3]), 1;
  double training = 0, began = now();
  for (int group = 0; group < groups; group++) {
    Rng rng;
    seed(&rng, (uint64_t)group << 32);
    for (int i = 0; i < 2 * EXAMPLES; i += 2) {
      Real pair[2];
      normal(&rng, pair);
      examples[i] = pair[0] - 0.1f * pair[1] + 1;
      examples[i + 1] = 2 * pair[0] + 0.5f * pair[1] + 2;
    }
    memset(&run, 0, sizeof run);
    run.power1 = run.power2 = 1;
    for (int i = 0; i < D + G; i++) {
      Real pair[2];
      normal(&rng, pair);
      run.theta[i] = 0.02f * pair[0];
    }
    Real loss[2];
    for (int epoch = 0; epoch < epochs; epoch++) {
      shuffle(&rng, examples, x);
      for (int i = 0; i < 2 * EXAMPLES; i += 2) normal(&rng, z + i);
      loss[0] = loss[1] = all(0);
      const double start = now();
      for (int i = 0; i < BATCHES; i++) {
        Real products[3];
        iteration(&run, x + 2 * BATCH * i, z + 2 * BATCH * i, products);
        LANEWISE(loss[0], loss[0][lane] - logf(products[0][lane] * products[1][lane]) / (2 * EXAMPLES));
        LANEWISE(loss[1], loss[1][lane] - logf(products[2][lane]) / EXAMPLES);
      }
      training += now() - start;
    }
    for (int lane = 0; lane < LANES && LANES * group + lane < replicas; lane++) {
      float row[G + 2] = {[G] = loss[0][lane], [G + 1] = loss[1][lane]};
      for (int i = 0; i < G; i++) row[i] = run.theta[D + i][lane];
      fwrite(row, sizeof row, 1, file);
    }
  }
  const double each = 1.0 / ((double)groups * LANES * epochs * BATCHES);
  if (fclose(file)) return perror(argv[3]), 1;
  printf("{\"seconds\": %.4g, \"drawing\": %.4g}\n", training * each, (now() - began - training) * each);
}
