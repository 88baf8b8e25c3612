// Layers of a Llama-like network over rows of many turns, with weights of 4 or 8 bits.
//
// A row of weights is cut into groups of 32. A weight is scale * step + offset of its group, step being 0..15 or 0..255:
// this is GGUF's Q4_1 as it is, and holds its Q8_0 too. What is multiplied with them is rounded to 16 bits a group first and
// cut into an upper and a lower byte, so that products are of whole numbers, 64 at a time (VNNI). Everything else is float;
// keys and values are kept in half precision.
//
// A team of threads goes through all layers: rows, blocks of 16 outputs, and heads are shared out within a phase, and
// nobody begins a phase before the one before it is over. It knows memory and arithmetic, and calls nothing.
//
// Shapes: t rows, d width, f width of the feed-forward, h heads, g key-value heads, k channels of a head, p = 16 places of
// a page, m pages of the longest turn, v vocabulary.

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <thread>
#include <type_traits>
#include <vector>

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

namespace {

constexpr int64_t GROUP = 32, BLOCK = 16, PAGE = 16, TILE = 8;
constexpr float LEAST = -1e30f, MOST = 127 * 256;

typedef float Floats __attribute__((vector_size(64)));
typedef int32_t Ints __attribute__((vector_size(64)));
typedef uint8_t Bytes __attribute__((vector_size(64)));

template <typename V>
inline V load(const void* from) {
  V value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

// Half precision (IEEE 754 binary16) to float, and back to the nearest.
inline Floats widened(const uint16_t* from) {
#if defined(__AVX512F__)
  return (Floats)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
#else
  Floats wide;
  for (int lane = 0; lane < BLOCK; ++lane) wide[lane] = static_cast<float>(load<_Float16>(from + lane));
  return wide;
#endif
}

inline uint16_t narrowed(float value) {
  const _Float16 half = static_cast<_Float16>(value);
  return load<uint16_t>(&half);
}

// Each of 16 sums += its four steps times the same four numbers.
inline void add_products(Ints& sums, Bytes steps, const int8_t* numbers) {
  int32_t four;
  std::memcpy(&four, numbers, sizeof four);
#if defined(__AVX512VNNI__) && defined(__AVX512F__)
  sums = (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)steps, _mm512_set1_epi32(four));
#else
  for (int lane = 0; lane < BLOCK; ++lane) {
    for (int i = 0; i < 4; ++i) sums[lane] += static_cast<int32_t>(steps[lane * 4 + i]) * numbers[i];
  }
#endif
}

inline void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Threads that stay. A pass has hundreds of phases of some microseconds each, so they spin from one to the next, and
// sleep between passes. OpenMP's do not: with a second team in the process, as torch has one for every thread that
// calls it, they sleep at every phase.
class Team {
 public:
  explicit Team(int count) : count(count) {
    for (int id = 1; id < count; ++id) threads_.emplace_back([this, id] { serve(id); });
  }

  ~Team() {
    over_ = true;
    wake();
    for (std::thread& thread : threads_) thread.join();
  }

  // All do the work, each with its number; it is over when all are done.
  void run(const std::function<void(int)>& work) {
    work_ = &work;
    wake();
    work(0);
    meet();
  }

  // Nobody goes on before all are here.
  void meet() {
    const uint32_t phase = phase_.load(std::memory_order_relaxed);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) == count - 1) {
      arrived_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
      pause_briefly();
      if (spins > PATIENCE) std::this_thread::yield();  // who is waited for may want this processor
    }
  }

  const int count;

 private:
  static constexpr int PATIENCE = 4000;

  void wake() {
    work_number_.fetch_add(1, std::memory_order_release);
    work_number_.notify_all();
  }

  void serve(int id) {
    for (uint32_t done = 0;; ++done) {
      for (int spins = 0; spins < PATIENCE && work_number_.load(std::memory_order_acquire) == done; ++spins) {
        pause_briefly();
      }
      work_number_.wait(done, std::memory_order_acquire);
      if (over_) return;
      (*work_)(id);
      meet();
    }
  }

  std::vector<std::thread> threads_;
  const std::function<void(int)>* work_ = nullptr;
  std::atomic<uint32_t> work_number_{0}, phase_{0};
  std::atomic<int> arrived_{0};
  std::atomic<bool> over_{false};
};

// One of a team.
struct Member {
  Team& team;
  int id;

  // Does its share of 0..n-1, and waits for the others.
  template <typename Work>
  void share(int64_t n, Work work) const {
    const int64_t first = n * id / team.count, last = n * (id + 1) / team.count;
    for (int64_t at = first; at < last; ++at) work(at);
    team.meet();
  }
};

}  // namespace

extern "C" {

// Steps [n/16,k/32, 16*32 steps], scales and offsets [n/16,k/32,16] of a matrix [n,k].
struct Matrix {
  const uint8_t* steps;
  const float *scales, *offsets;
  int64_t n, k, bits;
};

struct Layer {
  const float *before, *after;  // weights of the norms [d]
  Matrix qkv, out, gate_up, down;
  uint16_t *keys, *values;  // [pages,g,k,p], [pages,g,p,k]
};

struct Network {
  const Layer* layers;
  const float* norm;
  Matrix head;
  const float *cosines, *sines;  // by position [positions,k/2]
  int64_t d, f, h, g, k;
  float eps;
};

// What is read: rows with their positions, places in the cache, and pages of their turns [t,m]; and room to work in.
struct Rows {
  float* states;  // [t,d]
  const int64_t *positions, *places;
  const int32_t* tables;
  int64_t t, m;
  float *qkv, *heads, *wide;      // [t,(h+2g)k], [t,hk], [t,2f]
  int8_t* numbers;                // [t,2*max(d,hk,f)]
  float *sizes, *totals;          // of groups of those [t,max/32]
};
}

namespace {

struct Rounded {
  int8_t* numbers;
  float *sizes, *totals;
};

Rounded rounded(const Rows& rows, int64_t row, int64_t k) {
  return {rows.numbers + row * 2 * k, rows.sizes + row * (k / GROUP), rows.totals + row * (k / GROUP)};
}

struct Grid {
  float scale, offset;
  int32_t most;
};

int32_t step_of(float weight, Grid grid) {
  const auto step = static_cast<int32_t>(std::nearbyint((weight - grid.offset) / grid.scale));
  return std::min(std::max(step, 0), grid.most);
}

float error_of(const float* weights, Grid grid) {
  float most = 0;
  for (int64_t i = 0; i < GROUP; ++i) {
    most = std::max(most, std::fabs(static_cast<float>(step_of(weights[i], grid)) * grid.scale + grid.offset - weights[i]));
  }
  return most;
}

// The steps of a group: from its smallest to its largest, as in Q4_1, or from -127 to 127 times one size, as in Q8_0.
Grid grid_of(const float* weights, int64_t bits) {
  const auto [low, high] = std::minmax_element(weights, weights + GROUP);
  const int32_t most = bits == 4 ? 15 : 255;
  const Grid between = {std::max((*high - *low) / static_cast<float>(most), 1e-12f), *low, most};
  if (bits == 4) return between;
  const float size = std::max(std::max(std::fabs(*low), std::fabs(*high)) / 127, 1e-12f);
  const Grid around = {size, -128 * size, most};
  return error_of(weights, around) < error_of(weights, between) ? around : between;
}

// x [k] as whole numbers times a size a group, 32 upper bytes and then 32 lower ones; and the sum of each group.
void round_groups(const float* x, int64_t k, Rounded to) {
  for (int64_t group = 0; group < k / GROUP; ++group) {
    const float* in = x + group * GROUP;
    float most = 0;
    for (int64_t i = 0; i < GROUP; ++i) most = std::max(most, std::fabs(in[i]));
    const float size = most / MOST, scale = most > 0 ? MOST / most : 0;
    int8_t *upper = to.numbers + group * 2 * GROUP, *lower = upper + GROUP;
    int32_t total = 0;
    for (int64_t i = 0; i < GROUP; ++i) {
      const int32_t number = static_cast<int32_t>(std::nearbyint(in[i] * scale)), high = (number + 128) >> 8;
      upper[i] = static_cast<int8_t>(high);
      lower[i] = static_cast<int8_t>(number - high * 256);
      total += number;
    }
    to.sizes[group] = size;
    to.totals[group] = size * static_cast<float>(total);
  }
}

// 16 outputs of B rows.
template <int BITS, int B, bool ADD>
__attribute__((noinline)) void product_block(const Matrix& w, int64_t block, Rounded x, float* out) {
  const int64_t groups = w.k / GROUP;
  const uint8_t* steps = w.steps + block * groups * GROUP * BLOCK * BITS / 8;
  const float *scales = w.scales + block * groups * BLOCK, *offsets = w.offsets + block * groups * BLOCK;
  Floats sums[B] = {};
  for (int64_t group = 0; group < groups; ++group) {
    Ints upper[B] = {}, lower[B] = {};
    const uint8_t* from = steps + group * GROUP * BLOCK * BITS / 8;
#pragma GCC unroll 8
    for (int part = 0; part < BITS; ++part) {
      const Bytes bytes = load<Bytes>(from + part * 64);
#pragma GCC unroll 8
      for (int b = 0; b < B; ++b) {
        const int8_t* numbers = x.numbers + (b * w.k + group * GROUP) * 2;
        if (BITS == 4) {
          add_products(upper[b], bytes & 15, numbers + part * 8);
          add_products(upper[b], bytes >> 4, numbers + part * 8 + 4);
          add_products(lower[b], bytes & 15, numbers + GROUP + part * 8);
          add_products(lower[b], bytes >> 4, numbers + GROUP + part * 8 + 4);
        } else {
          add_products(upper[b], bytes, numbers + part * 4);
          add_products(lower[b], bytes, numbers + GROUP + part * 4);
        }
      }
    }
    const Floats scale = load<Floats>(scales + group * BLOCK), offset = load<Floats>(offsets + group * BLOCK);
#pragma GCC unroll 8
    for (int b = 0; b < B; ++b) {
      const float size = x.sizes[b * groups + group], total = x.totals[b * groups + group];
      sums[b] += scale * size * __builtin_convertvector(upper[b] * 256 + lower[b], Floats) + offset * total;
    }
  }
  for (int b = 0; b < B; ++b) {
    float* to = out + b * w.n;
    if (ADD) sums[b] += load<Floats>(to);
    std::memcpy(to, &sums[b], sizeof sums[b]);
  }
}

template <int BITS, bool ADD>
void product_rows(const Matrix& w, int64_t block, Rounded x, int64_t t, float* out) {
  const int64_t groups = w.k / GROUP;
  int64_t row = 0;
  const auto some = [&](auto many) {
    constexpr int B = decltype(many)::value;
    for (; row + B <= t; row += B) {
      const Rounded from = {x.numbers + row * 2 * w.k, x.sizes + row * groups, x.totals + row * groups};
      product_block<BITS, B, ADD>(w, block, from, out + row * w.n + block * BLOCK);
    }
  };
  some(std::integral_constant<int, 8>{});
  some(std::integral_constant<int, 4>{});
  some(std::integral_constant<int, 2>{});
  some(std::integral_constant<int, 1>{});
}

// out [t,n] = x w^T, or += it; blocks of outputs are shared out.
template <bool ADD>
void product(const Member& me, const Matrix& w, const Rows& rows, float* out) {
  const Rounded x = rounded(rows, 0, w.k);
  me.share(w.n / BLOCK, [&](int64_t block) {
    if (w.bits == 4) {
      product_rows<4, ADD>(w, block, x, rows.t, out);
    } else {
      product_rows<8, ADD>(w, block, x, rows.t, out);
    }
  });
}

// RMSNorm (Zhang & Sennrich 2019) of each row, rounded.
void norm(const Member& me, const float* states, const float* weight, int64_t d, float eps, const Rows& rows) {
  me.share(rows.t, [&](int64_t row) {
    const float* x = states + row * d;
    float sum = 0;
    for (int64_t i = 0; i < d; ++i) sum += x[i] * x[i];
    const float scale = 1.0f / std::sqrt(sum / static_cast<float>(d) + eps);
    float normal[d];
    for (int64_t i = 0; i < d; ++i) normal[i] = x[i] * scale * weight[i];
    round_groups(normal, d, rounded(rows, row, d));
  });
}

// Queries and keys are turned to their positions (Su et al. 2021), keys and values put into the cache.
void rotate_and_store(const Member& me, const Network& net, const Layer& layer, const Rows& rows) {
  const int64_t h = net.h, g = net.g, k = net.k, half = k / 2;
  me.share(rows.t, [&](int64_t row) {
    const float *c = net.cosines + rows.positions[row] * half, *s = net.sines + rows.positions[row] * half;
    const int64_t page = rows.places[row] / PAGE, at = rows.places[row] % PAGE;
    float* all = rows.qkv + row * (h + 2 * g) * k;
    for (int64_t head = 0; head < h + g; ++head) {
      float* x = all + head * k;
      for (int64_t i = 0; i < half; ++i) {
        const float one = x[i], other = x[i + half];
        x[i] = one * c[i] - other * s[i];
        x[i + half] = other * c[i] + one * s[i];
      }
    }
    for (int64_t head = 0; head < g; ++head) {
      uint16_t* keys = layer.keys + (page * g + head) * k * PAGE + at;
      uint16_t* values = layer.values + ((page * g + head) * PAGE + at) * k;
      for (int64_t i = 0; i < k; ++i) {
        keys[i * PAGE] = narrowed(all[(h + head) * k + i]);
        values[i] = narrowed(all[(h + g + head) * k + i]);
      }
    }
  });
}

// Q queries of one key-value head: softmax(q K^T / sqrt(k)) V over the places that a row sees, in one pass with a running
// maximum (Milakov & Gimelshein 2018). A register holds the scores of a page, or 16 channels of a sum.
template <int Q, int64_t K>
void attend_heads(const Layer& layer, const int32_t* pages, int64_t length, int64_t g, int64_t head,
                  const float* queries, float* out) {
  constexpr int64_t C = K / 16;
  const float scale = 1.0f / std::sqrt(static_cast<float>(K));
  Floats sums[Q][C] = {};
  float most[Q], total[Q] = {}, shares[Q][PAGE];
  std::fill(most, most + Q, LEAST);
  for (int64_t first = 0; first < length; first += PAGE) {
    const int64_t at = (pages[first / PAGE] * g + head) * K * PAGE, many = std::min(PAGE, length - first);
    Floats scores[Q] = {};
    for (int64_t i = 0; i < K; ++i) {
      const Floats key = widened(layer.keys + at + i * PAGE);
      for (int q = 0; q < Q; ++q) scores[q] += queries[q * K + i] * key;
    }
    for (int q = 0; q < Q; ++q) {
      const Floats scaled = scores[q] * scale;
      std::memcpy(shares[q], &scaled, sizeof scaled);
      for (int64_t p = many; p < PAGE; ++p) shares[q][p] = LEAST;
      float peak = most[q], added = 0;
      for (int64_t p = 0; p < PAGE; ++p) peak = std::max(peak, shares[q][p]);
      for (int64_t p = 0; p < PAGE; ++p) added += shares[q][p] = std::exp(shares[q][p] - peak);
      const float shrink = std::exp(most[q] - peak);
      total[q] = total[q] * shrink + added;
      most[q] = peak;
      for (int64_t c = 0; c < C; ++c) sums[q][c] *= shrink;
    }
    for (int64_t p = 0; p < many; ++p) {
      for (int64_t c = 0; c < C; ++c) {
        const Floats value = widened(layer.values + at + p * K + c * 16);
        for (int q = 0; q < Q; ++q) sums[q][c] += shares[q][p] * value;
      }
    }
  }
  for (int q = 0; q < Q; ++q) {
    for (int64_t c = 0; c < C; ++c) sums[q][c] /= total[q];
  }
  std::memcpy(out, sums, sizeof sums);
}

template <int Q, int64_t K>
void attend_rows(const Member& me, const Network& net, const Layer& layer, const Rows& rows) {
  const int64_t h = net.h, g = net.g, group = h / g;
  me.share(rows.t * g, [&](int64_t task) {
    const int64_t row = task / g, head = task % g;
    for (int64_t first = head * group; first < (head + 1) * group; first += Q) {
      attend_heads<Q, K>(layer, rows.tables + row * rows.m, rows.positions[row] + 1, g, head,
                         rows.qkv + (row * (h + 2 * g) + first) * K, rows.heads + (row * h + first) * K);
    }
  });
}

void attend(const Member& me, const Network& net, const Layer& layer, const Rows& rows) {
  const int64_t group = net.h / net.g;
  const auto with = [&](auto width) {
    constexpr int64_t K = decltype(width)::value;
    if (group % 4 == 0) return attend_rows<4, K>(me, net, layer, rows);
    if (group % 3 == 0) return attend_rows<3, K>(me, net, layer, rows);
    return attend_rows<1, K>(me, net, layer, rows);
  };
  if (net.k == 128) return with(std::integral_constant<int64_t, 128>{});
  if (net.k == 64) return with(std::integral_constant<int64_t, 64>{});
  return with(std::integral_constant<int64_t, 16>{});
}

void round_heads(const Member& me, const Network& net, const Rows& rows) {
  const int64_t width = net.h * net.k;
  me.share(rows.t, [&](int64_t row) { round_groups(rows.heads + row * width, width, rounded(rows, row, width)); });
}

// SiLU(gate) * up (Shazeer 2020), rounded.
void gate(const Member& me, const Network& net, const Rows& rows) {
  me.share(rows.t, [&](int64_t row) {
    float *gates = rows.wide + row * 2 * net.f, *up = gates + net.f;
    for (int64_t i = 0; i < net.f; ++i) gates[i] = gates[i] / (1.0f + std::exp(-gates[i])) * up[i];
    round_groups(gates, net.f, rounded(rows, row, net.f));
  });
}

}  // namespace

extern "C" {

// A team of so many threads, and its end.
Team* begin_team(int threads) { return new Team(threads); }
void end_team(Team* team) { delete team; }

// Rounds a matrix [n,k] to steps, which are zero before.
void pack(Team* team, const float* weight, int64_t n, int64_t k, int64_t bits, uint8_t* steps, float* scales,
          float* offsets) {
  const int64_t bytes = GROUP * BLOCK * bits / 8;
  team->run([&](int id) {
    Member{*team, id}.share(n / BLOCK * (k / GROUP), [&](int64_t at) {
      const int64_t block = at / (k / GROUP), group = at % (k / GROUP);
      for (int64_t lane = 0; lane < BLOCK; ++lane) {
        const float* in = weight + (block * BLOCK + lane) * k + group * GROUP;
        const Grid grid = grid_of(in, bits);
        scales[at * BLOCK + lane] = grid.scale;
        offsets[at * BLOCK + lane] = grid.offset;
        for (int64_t i = 0; i < GROUP; ++i) {
          const int64_t four = i / 4;  // four inputs of 16 outputs are 64 bytes; of 4 bits, two such share their bytes
          uint8_t& byte = steps[at * bytes + (bits == 4 ? four / 2 : four) * 64 + lane * 4 + i % 4];
          byte |= static_cast<uint8_t>(step_of(in[i], grid) << (bits == 4 && four % 2 ? 4 : 0));
        }
      }
    });
  });
}

// Layers first..last-1 over all rows; their keys and values are in the cache after it.
void read_layers(Team* team, const Network* net, int64_t first, int64_t last, const Rows* rows) {
  team->run([&](int id) {
    const Member me{*team, id};
    for (int64_t number = first; number < last; ++number) {
      const Layer& layer = net->layers[number];
      norm(me, rows->states, layer.before, net->d, net->eps, *rows);
      product<false>(me, layer.qkv, *rows, rows->qkv);
      rotate_and_store(me, *net, layer, *rows);
      attend(me, *net, layer, *rows);
      round_heads(me, *net, *rows);
      product<true>(me, layer.out, *rows, rows->states);
      norm(me, rows->states, layer.after, net->d, net->eps, *rows);
      product<false>(me, layer.gate_up, *rows, rows->wide);
      gate(me, *net, *rows);
      product<true>(me, layer.down, *rows, rows->states);
    }
  });
}

// Logits [t,v] of what comes after each row.
void read_head(Team* team, const Network* net, const Rows* rows, float* logits) {
  team->run([&](int id) {
    const Member me{*team, id};
    norm(me, rows->states, net->norm, net->d, net->eps, *rows);
    product<false>(me, net->head, *rows, logits);
  });
}
}
