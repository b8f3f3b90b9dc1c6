"""The pages of the fake llama-server about itself."""

from __future__ import annotations

import time

from fake_text import CHAT_TEMPLATE, VOCABULARY

TYPE_CHECKING = False
if TYPE_CHECKING:  # without the cost of importing typing
    from fake_process import Flags

N_CTX_TRAIN = 8192


def model_list(alias: str, n_ctx: int) -> dict[str, object]:
    """Return the body of /v1/models."""
    listed = {
        "name": alias,
        "model": alias,
        "modified_at": "",
        "size": "",
        "digest": "",
        "type": "model",
        "description": "",
        "tags": [""],
        "capabilities": ["completion"],
        "parameters": "",
        "details": {
            "parent_model": "",
            "format": "gguf",
            "family": "",
            "families": [""],
            "parameter_size": "",
            "quantization_level": "",
        },
    }
    entry = {
        "id": alias,
        "aliases": [alias],
        "tags": [],
        "object": "model",
        "architecture": {"input_modalities": ["text"], "output_modalities": ["text"]},
        "created": int(time.time()),
        "owned_by": "llamacpp",
        "meta": {
            "vocab_type": 2,
            "n_vocab": VOCABULARY,
            "n_ctx": n_ctx,
            "n_ctx_train": N_CTX_TRAIN,
            "n_embd": 576,
            "n_params": 134515008,
            "size": 96576768,
            "ftype": "Q4_1",
        },
    }
    return {"models": [listed], "object": "list", "data": [entry]}


def props(flags: Flags, n_ctx: int, template: str) -> dict[str, object]:
    """Return the body of /props; ``template`` tells whether the chat template knows tools."""
    caps = {"supports_tools": template == "tools", "supports_system_role": True}
    return {
        "default_generation_settings": {"params": {"n_predict": -1}, "n_ctx": n_ctx},
        "total_slots": flags.slots,
        "model_alias": flags.alias,
        "model_path": flags.model,
        "modalities": {"vision": flags.sees, "video": False, "audio": False},
        **({"chat_template_caps": caps} if template else {}),
        "endpoint_slots": True,
        "endpoint_props": False,
        "endpoint_metrics": False,
        "chat_template": CHAT_TEMPLATE,
        "bos_token": "<|im_start|>",
        "eos_token": "<|im_end|>",
        "build_info": "b0-fake",
        "is_sleeping": False,
    }


def slot_list(
    n_ctx: int, held: list[tuple[int, int]], busy: set[int], done: int
) -> list[dict[str, object]]:
    """Return the body of /slots: of each slot its tokens, last task, activity and progress."""
    work: dict[str, object] = {
        "n_prompt_tokens_processed": 0,
        "next_token": [{"has_next_token": True, "n_decoded": done}],
    }
    return [
        {"id": i, "n_ctx": n_ctx, "speculative": False, "is_processing": i in busy}
        | ({"n_prompt_tokens": tokens, "id_task": task} if tokens else {})
        | (work if i in busy else {})
        for i, (tokens, task) in enumerate(held)
    ]
