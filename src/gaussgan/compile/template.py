"""The C source of a program: the step, and around it the loops over replicas and steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.resources import files

from gaussgan.compile.arrays import C_TYPES, Array, Operation, literal
from gaussgan.compile.emit import Lowered, lower
from gaussgan.compile.graph import Graph
from gaussgan.compile.limits import check_size, work
from gaussgan.compile.loops import Loops, Writer

ENTRY = "run"
TEMPLATE = """\
{preamble}
{tables}
typedef struct {{
{buffers}
}} Memory;

static void step(Memory *m) {{
{step}
}}

#define LOAD(type, p, stride, buffer, n) LANES {{ \\
    const type *from = (const type *)(p) + (r + (l < live ? l : 0)) * (stride); \\
    for (int e = 0; e < n; e++) LANE(buffer[e], l) = from[e]; }}
#define SAVE(type, p, stride, buffer, n) LANES if (l < live && stop[l] == GOES_ON) {{ \\
    type *to = (type *)(p) + (r + l) * stride; \\
    for (int e = 0; e < n; e++) to[e] = (type)LANE(buffer[e], l); }}
#define WATCH(value, code) LANES if (stop[l] == GOES_ON && !(LANE(value, l) - LANE(value, l) == 0)) stop[l] = code;
enum {{ GOES_ON = -1, OUTPUTS = {outputs} }};

/* Repeat the step for the replicas begin ≤ r < end. Replica r begins with old[i] + r · state_stride[i] and ends in
 * new[i] + r · state_stride[i]. In step k it reads inputs[j] + r · replica_stride[j] + k · step_stride[j]. The outputs
 * are added to sums[r][o]. If an output o is not finite in step k, stops[r] becomes k · OUTPUTS + o, and the new state
 * is not written; if a watched part of the new state is not finite, it becomes steps · OUTPUTS. A replica whose
 * stops[r] is not GOES_ON at the beginning is left alone. */
void run(void *const *old, void *const *new, const int64_t *state_stride, const void *const *inputs,
         const int64_t *replica_stride, const int64_t *step_stride, double *sums, int64_t *stops,
         int64_t steps, int64_t begin, int64_t end) {{
  unsigned before = flush_subnormals();
  Memory *m = aligned_alloc(128, (sizeof(Memory) + 127) / 128 * 128);
  if (m == NULL) abort();
  for (int64_t r = begin; r < end; r += W) {{
    int64_t live = end - r < W ? end - r : W, stop[W];
    D total[OUTPUTS];
    for (int o = 0; o < OUTPUTS; o++) total[o] = allD(0);
    LANES stop[l] = l < live ? stops[r + l] : 0;
{load}
    for (int64_t k = 0; k < steps; k++) {{
{inputs}
      step(m);
{outputs_of_step}
{advance}
    }}
{watch}
{save}
    for (int l = 0; l < live; l++) {{
      stops[r + l] = stop[l];
      for (int o = 0; o < OUTPUTS; o++) sums[(r + l) * OUTPUTS + o] = LANE(total[o], l);
    }}
  }}
  free(m);
  restore_subnormals(before);
}}
"""


@dataclass(frozen=True)
class Source:
    """The C source of a program.

    Attributes:
        text: the source, after `lanes.h`.
        outputs: the number of outputs of a step.
        operations: the number of operations on elements, reductions and products of one step.
        work: the number of multiply-adds in the products of one step.
    """

    text: str
    outputs: int
    operations: int
    work: int


def c_source(graph: Graph, states: int, watched: Sequence[int], finite: int, single: bool) -> Source:
    """Return the C source of a program that repeats the step of a graph.

    Args:
        graph: a graph made by `gaussgan.compile.trace.trace`.
        states: the number of tensors of the state. They are the first arguments and the first results of the graph.
            The graph's other results, the outputs, have one element each.
        watched: the numbers of the tensors of the state that must stay finite.
        finite: how many of the outputs, from the first, must be finite.
        single: true for a program of one run, which is vectorised over elements; false for a program of many replicas.

    Raises:
        NotCompiled: when an operation cannot be compiled, or when the step is too large for a program to be faster.
    """
    program = _without_overlap(lower(graph, single), states)
    emitter, inputs, results = program.emitter, program.inputs, program.results
    check_size(emitter, single)
    writer = Writer(emitter, {each.buffer for each in results if not each.is_constant})
    step = writer.source()
    outputs = results[states:]
    types = [C_TYPES[node.value.dtype] for node in graph.inputs]
    sizes = [each.index.size for each in inputs]
    used = [*range(len(inputs)), *(b for b in sorted(writer.stored) if b >= len(inputs))]

    def load(i: int, pointer: str, stride: str) -> str:
        return f"LOAD({types[i]}, {pointer}, {stride}, m->b{inputs[i].buffer}, {sizes[i]})"

    def batch(j: int) -> str:
        type_of = types[states + j]
        return load(states + j, f"(const {type_of} *)inputs[{j}] + k * step_stride[{j}]", f"replica_stride[{j}]")

    state, buffers = range(states), [b for b in used if b not in emitter.tables]
    text = TEMPLATE.format(
        preamble="#define W 1\n" * single + '#include "lanes.h"\n',
        tables="\n".join(_tables(writer)),
        buffers=_indent([f"{emitter.kinds[b]} b{b}[{max(emitter.sizes[b], 1)}];" for b in buffers], 2),
        step=_indent(step, 2),
        outputs=len(outputs),
        load=_indent([load(i, f"old[{i}]", f"state_stride[{i}]") for i in state], 4),
        inputs=_indent([batch(j) for j in range(len(inputs) - states)], 6),
        outputs_of_step=_indent([_output(writer, o, each, o < finite) for o, each in enumerate(outputs)], 6),
        advance=_indent([_advance(writer, inputs[i], results[i]) for i in state], 6),
        watch=_indent([_watch(inputs[i]) for i in watched], 4),
        save=_indent([load(i, f"new[{i}]", f"state_stride[{i}]").replace("LOAD", "SAVE", 1) for i in state], 4),
    )
    operations = sum(map(len, writer.groups))
    return Source(text, len(outputs), operations, work(emitter))


def header() -> str:
    """Return the C header with the arithmetic on lanes."""
    return files("gaussgan.compile").joinpath("lanes.h").read_text()


def _without_overlap(program: Lowered, states: int) -> Lowered:
    """Copy a new state that lies in the buffer of an old one, so that all can be written back in any order."""
    old = {each.buffer for each in program.inputs[:states]}
    results = list(program.results)
    for i, (before, after) in enumerate(zip(program.inputs, results[:states], strict=False)):
        if after.buffer in old and not after.same_places(before):
            results[i] = program.emitter.new(after.shape, after.kind)
            program.emitter.operations.append(Operation("copy", "elements", results[i], (after,), "{0}", after.kind))
    return replace(program, results=results)


def _tables(writer: Writer) -> list[str]:
    """Return the definitions of the tables of places and of constants."""
    places = [("int", name, map(str, index.reshape(-1))) for name, index in writer.indices.values()]
    constants = [("double", f"b{b}", map(literal, values)) for b, values in writer.emitter.tables.items()]
    return [f"static const {kind} {name}[] = {{{', '.join(values)}}};" for kind, name, values in (*places, *constants)]


def _watch(array: Array) -> str:
    return f"for (int e = 0; e < {array.index.size}; e++) WATCH(m->b{array.buffer}[e], steps * OUTPUTS)"


def _output(writer: Writer, number: int, array: Array, finite: bool) -> str:
    scalar = array.map(lambda index: index.reshape(()))
    value = Loops(writer, (), [], scalar).read(scalar, array.kind)
    watch = f" WATCH({value}, k * OUTPUTS + {number})" if finite else ""
    return f"total[{number}] += {value if array.kind == 'D' else f'FtoD({value})'};{watch}"


def _advance(writer: Writer, old: Array, new: Array) -> str:
    if new.same_places(old):
        return ""
    loops = Loops(writer, old.shape, [old, new], old)
    return loops.around([f"{loops.place(old)} = {loops.read(new, old.kind)};"])


def _indent(texts: Sequence[str], spaces: int) -> str:
    return "\n".join(" " * spaces + line for text in texts for line in text.splitlines())
