"""A node as Flower's client app: its rows are a file beside its supernode, its journal is kept by the supernode.

Its node configuration has `name` and `file`, the node's own file as `lehr node` takes it.
"""

from pathlib import Path

from flwr.app import ConfigRecord, Context, Message, RecordDict
from flwr.clientapp import ClientApp

from deployments.node_file import NodeFile
from learning.federation.node import Node
from learning.federation.node_state import load_node, save_node
from learning.federation.sources import node_data

_JOURNAL = "journal"
app = ClientApp()


@app.query("name")
def tell_name(message: Message, context: Context) -> Message:
    """Which node of the federation this supernode is."""
    return _reply(message, str(context.node_config["name"]).encode())


@app.query("answer")
def answer(message: Message, context: Context) -> Message:
    """Answer what the coordinator asks."""
    name, path = str(context.node_config["name"]), Path(str(context.node_config["file"]))
    file = NodeFile.load(path)
    data = node_data(path.parent / file.source, file.data, file.task)
    kept = context.state.get(_JOURNAL)
    node = Node(name, data) if kept is None else load_node(name, data, bytes(kept["content"]))
    told = node.answer(bytes(message.content["lehr"]["content"]))
    context.state[_JOURNAL] = ConfigRecord({"content": save_node(node)})
    return _reply(message, told)


def _reply(message: Message, content: bytes) -> Message:
    return Message(RecordDict({"lehr": ConfigRecord({"content": content})}), reply_to=message)
