"""Graphs that reach for what is not theirs: files of the server, operators of somebody."""

from onnx import NodeProto, SparseTensorProto, TensorProto, ValueInfoProto, helper

PLACES = ["initializer", "constant", "branch", "sparse"]
LOCATIONS = [
    "weights.bin",
    "./weights.bin",
    "../../weights.bin",
    "../../etc/passwd",
    "{tmp_path}/weights.bin",
    "/etc/passwd",
    "..",
    "",
    "*/_ORT_MEM_ADDR_/*",
]


def external_data(place: str, location: str) -> bytes:
    """Adds `(1, 3)` weights, in a file at `location`, to the features; `place` is where the graph speaks of them."""
    weights = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[1, 3])
    weights.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, "offset": "0", "length": "12"}.items():
        weights.external_data.add(key=key, value=value)
    nodes, initializers = [helper.make_node("Add", ["features", "read"], ["answer"])], []
    if place == "initializer":
        nodes[0].input[1], initializers = "weights", [weights]
    elif place == "constant":
        nodes.insert(0, helper.make_node("Constant", [], ["read"], value=weights))
    elif place == "sparse":
        nodes.insert(0, helper.make_node("Constant", [], ["read"], sparse_value=_sparse(weights)))
    else:
        branch = helper.make_graph(
            [helper.make_node("Identity", ["weights"], ["out"])], "branch", [], [_floats("out", [1, 3])], [weights]
        )
        nodes.insert(0, helper.make_node("If", ["true"], ["read"], then_branch=branch, else_branch=branch))
        initializers = [helper.make_tensor("true", TensorProto.BOOL, [], [True])]
    return _graph(nodes, initializers)


def custom_operator(domain: str) -> bytes:
    """Calls an operator that is not ONNX's."""
    return _graph([helper.make_node("Foo", ["features"], ["answer"], domain=domain)], [], domain)


def _sparse(values: TensorProto) -> SparseTensorProto:
    flat = TensorProto()
    flat.CopyFrom(values)
    flat.dims[:] = [3]
    return helper.make_sparse_tensor(flat, helper.make_tensor("where", TensorProto.INT64, [3], [0, 1, 2]), [1, 3])


def _graph(nodes: list[NodeProto], initializers: list[TensorProto], domain: str = "ai.onnx.ml") -> bytes:
    graph = helper.make_graph(nodes, "foreign", [_floats("features", ["batch", 3])], [_floats("answer", ["batch", 3])])
    graph.initializer.extend(initializers)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(domain, 1)]
    content: bytes = helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString()
    return content


def _floats(name: str, shape: list[str | int]) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
