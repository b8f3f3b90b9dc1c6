"""``LlamaCpp``: the engine type of llama-server."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from engine.base import EngineHooks, EngineType, Launch
from engine.llamacpp.arguments import GPU_LAYERS, MODEL, PROJECTOR, Arguments, layers_shown
from engine.llamacpp.capabilities import Known, deduced
from engine.llamacpp.checks import findings
from engine.llamacpp.client import LlamaCppEngine, build_launch, engine_url
from engine.llamacpp.log import LlamaCppLog
from engine.llamacpp.model_files import ModelFiles, as_started, other_template
from engine.llamacpp.needs import forecast
from engine.llamacpp.prompt_cache.fingerprint import with_shards
from engine.llamacpp.requests import fitted
from engine.llamacpp.shared_context import SharedContextHooks
from engine.llamacpp.tokenizer import LlamaTokenize
from engine.llamacpp.vocabulary_counter import VocabularyCounter
from models.gguf import BadModelFile
from models.head_cache import HeadCache
from models.model_file import knows_tools
from utils.collector import give_way
from utils.errors import CountUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engine.base import Capabilities, EngineClient, Finding, Forecast, ModelFile
    from engine.llamacpp.prompt_cache.manager import PromptCacheManager
    from models.model_file import FileFacts
    from models.planning import MachineMemory
    from models.requests.reader import RequestFacts
    from models.spec import ModelSpec, VariantSpec


class LlamaCpp(EngineType):
    """llama-server. Prompts are saved and restored if ``prompt_caches`` is given."""

    name = "llamacpp"
    environment = (*EngineType.environment, "LLAMA_", "GGML_")
    obeys = frozenset({"thinking_budget_tokens", "timings_per_token", "verbose"})
    # Rewrites what llama-server knows in another form only, and refuses what it ignores.
    fit = staticmethod(fitted)

    def __init__(
        self,
        prompt_caches: PromptCacheManager | None = None,
        tokenizer: LlamaTokenize | None = None,
        heads: HeadCache | None = None,
    ) -> None:
        self._prompt_caches = prompt_caches
        self._tokenizer = tokenizer or LlamaTokenize()
        self._counter = VocabularyCounter()
        self._heads = heads or HeadCache()
        self._model_files = ModelFiles(self._heads)
        # What engines of a variant have told of themselves.
        self._told: dict[tuple[str, ...], Known] = {}

    def address(self, variant: VariantSpec, connect: str | None) -> str | None:
        """Return ``connect``, else the address in arguments or variables; None without a port."""
        return engine_url(variant, connect)

    def launch(self, variant: VariantSpec, url: str, environ: Mapping[str, str]) -> Launch:
        """Return the variant's command line; host, port and alias are added if they are missing."""
        return build_launch(variant, url, environ)

    def client(self, variant: VariantSpec, url: str) -> LlamaCppEngine:
        """Return the client of a llama-server, with its key."""

        def tell(known: Known) -> None:
            if self._told.get(key := _key(variant)) != known:
                self._told[key] = known
                self.tell_news()

        return LlamaCppEngine(variant, url, tell)

    def capabilities(self, variant: VariantSpec) -> Capabilities:
        """Return the capabilities by the arguments, by the files, and by what engines have told."""
        said = Arguments.of(variant, os.environ)
        known = self._known(said)
        if told := self._told.get(_key(variant)):
            known = Known(
                *(old if new is None else new for old, new in zip(known, told, strict=True))
            )
        return deduced(said, known)

    def _known(self, said: Arguments) -> Known:
        projector = self._facts(said.value(PROJECTOR))
        if projector is None:
            return Known(self._knows_tools(said))
        return Known(self._knows_tools(said), projector.vision, projector.audio)

    def _knows_tools(self, said: Arguments) -> bool | None:
        """Return whether the chat template prints tools, None if it cannot be read here."""
        template = other_template(said)
        if template is not None:
            return knows_tools(template) if template else None
        facts = self._facts(said.value(MODEL))
        return None if facts is None else facts.tools

    def _facts(self, path: str | None) -> FileFacts | None:
        give_way()
        try:
            return None if path is None else self._heads.facts(Path(path))
        except (OSError, BadModelFile):
            return None

    def answers_at_once(self, variant: VariantSpec) -> int | None:
        """Return the number of slots: each answer takes one."""
        return variant.parallel

    def gpu_layers(self, variant: VariantSpec, environ: Mapping[str, str]) -> str:
        """See ``EngineType``; without an argument for it, llama-server chooses by the memory."""
        return layers_shown(Arguments.of(variant, environ).value(GPU_LAYERS))

    def forecast(
        self, variant: VariantSpec, environ: Mapping[str, str], machine: MachineMemory
    ) -> Forecast:
        """See ``EngineType``; it reads the head of the model's file."""
        said = Arguments.of(variant, environ)
        file = self.model_file(variant, environ, brief=True)
        model = said.value(MODEL)
        beside = sum(_size(path) for path in said.files() if path != model)
        return forecast(said, None if file is None else file.facts, machine, beside)

    def files(self, variant: VariantSpec, environ: Mapping[str, str]) -> list[str]:
        """Return the model with all its shards, the projector, adapters and the draft model."""
        return with_shards(Arguments.of(variant, environ).files())

    def model_file(
        self, variant: VariantSpec, environ: Mapping[str, str], *, brief: bool = False
    ) -> ModelFile | None:
        """Return what the heads of model and projector tell, and the template in use."""
        said = Arguments.of(variant, environ)
        model, files = said.value(MODEL), self._model_files
        look = files.brief if brief else files.of
        found = None if model is None else look(model, said.value(PROJECTOR))
        return None if found is None else as_started(found, said)

    def hooks(self, variant: VariantSpec, client: EngineClient) -> EngineHooks:
        """Return the prompt cache if prompts are saved, and the limits of a shared context."""
        hooks = EngineHooks()
        if (
            self._prompt_caches is not None
            and variant.state_carry
            and isinstance(client, LlamaCppEngine)
        ):
            hooks = self._prompt_caches.of(variant, client)
        shared = Arguments.of(variant, os.environ).unified()
        if variant.parallel > 1 and variant.context and shared:
            return SharedContextHooks(hooks, client, variant.context)
        return hooks

    def log_reader(self, variant: VariantSpec, environ: Mapping[str, str]) -> LlamaCppLog:
        """Return the reader of llama-server's lines about memory and progress."""
        return LlamaCppLog({**environ, **variant.env})

    def checks(self, variant: VariantSpec) -> list[Finding]:
        """Return missing files, a binary of another program, a context that no slot has."""
        return findings(variant, os.environ)

    async def count_text(self, model: ModelSpec, text: str) -> int:
        """Return the tokens by ``tokenization.binary``, else by the bundled engine's vocabulary.

        Raises CountUnavailable.
        """
        counter = self._tokenizer if model.tokenization.binary else self._counter
        return await counter.count_text(model, text)

    async def count_prompt(self, model: ModelSpec, facts: RequestFacts) -> int:
        """Return the tokens by the bundled engine's vocabulary, or raise CountUnavailable."""
        if model.tokenization.binary:
            raise CountUnavailable(f"{model.tokenization.binary} knows no templates")
        return await self._counter.count(model, facts)

    async def close(self) -> None:
        """End the processes that count."""
        await self._counter.close()


def _size(path: str) -> int:
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def _key(variant: VariantSpec) -> tuple[str, ...]:
    return (variant.label, variant.binary, *variant.args)
