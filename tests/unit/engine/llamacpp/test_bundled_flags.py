"""The bundled engine's command line: pure, every branch."""

from __future__ import annotations

import pytest
import xllamacpp
from hypothesis import given
from hypothesis import strategies as st

from engine.llamacpp.bundled.flags import FALSE, TRUE, Flag, FlagError, Value, parse, usage
from engine.llamacpp.bundled.parameters import apply
from engine.llamacpp.bundled.table import TABLE

INTS = st.integers(1, 2**31 - 1)
SAMPLES = {
    "FNAME": "/x", "FILE": "/x", "PATH": "/x", "TYPE": "none", "N": "3", "MODE": "none",
    "INDEX": "0", "PATTERN=BUFFER,...": "a=CPU", "HOST": "::1", "PORT": "9", "STRING": "a",
    "PREFIX": "/p", "KEY": "k", "TEMPLATE": "chatml", "JSON": '{"a": [1]}', "FORMAT": "none",
    "SEED": "-1", "[on|off]": "off", "[on|off|auto]": "auto",
}  # fmt: skip


def read(*arguments: str, **environment: str) -> dict[str, Value]:
    return parse(TABLE, arguments, environment)


def refusal(*arguments: str, **environment: str) -> str:
    with pytest.raises(FlagError) as caught:
        read(*arguments, **environment)
    return str(caught.value)


def record(*arguments: str, **environment: str) -> xllamacpp.CommonParams:
    params = xllamacpp.CommonParams()
    apply(read(*arguments, **environment), params, xllamacpp.common_params_sampling_config)
    return params


def sample(flag: Flag) -> str:
    return {
        "--cache-type-k": "q8_0", "--cache-type-v": "q8_0", "--numa": "numactl",
    }.get(flag.names[-1], SAMPLES[flag.metavar])  # fmt: skip


class TestCommandLine:
    def test_nothing_given_is_nothing_set(self) -> None:
        assert read() == {}

    def test_short_and_long_names_are_one_flag(self) -> None:
        for flag in TABLE:
            value = [sample(flag)] if flag.read else []
            assert len({str(read(name, *value)) for name in flag.names}) == 1

    def test_no_name_is_listed_twice(self) -> None:
        names = [name for flag in TABLE for name in (*flag.names, *flag.off_names)]
        assert len(names) == len(set(names))
        variables = [flag.env for flag in TABLE if flag.env]
        assert len(variables) == len(set(variables))

    def test_what_a_variant_is_usually_started_with(self) -> None:
        line = "-m a.gguf -c 4096 -np 2 -ngl 99 -fa on -ctk q8_0 --host 127.0.0.1,::1 --port 81"
        assert read(*line.split()) == {
            "model.path": "a.gguf",
            "n_ctx": 4096,
            "n_parallel": 2,
            "n_gpu_layers": 99,
            "flash_attn_type": "LLAMA_FLASH_ATTN_TYPE_ENABLED",
            "cache_type_k": "GGML_TYPE_Q8_0",
            "hostnames": ("127.0.0.1", "::1"),
            "port": 81,
        }

    def test_the_last_of_several_counts(self) -> None:
        assert read("-c", "1", "--ctx-size", "2") == {"n_ctx": 2}
        assert read("--slots", "--no-slots") == {"endpoint_slots": False}

    def test_underscores_in_long_names_are_dashes(self) -> None:
        assert read("--ctx_size", "7") == {"n_ctx": 7}

    @pytest.mark.parametrize("name", ["--nope", "-m=a", "--port=8", "model", "-", "--", "-C_"])
    def test_an_unknown_flag_is_refused_by_name(self, name: str) -> None:
        assert refusal("-c", "1", name) == f"invalid argument: {name}"

    def test_a_missing_value(self) -> None:
        assert refusal("-m") == 'argument "-m": expected a value'

    def test_a_value_may_look_like_a_flag(self) -> None:
        assert read("-a", "-c") == {"model_alias": ("-c",)}

    @pytest.mark.parametrize(
        ("arguments", "fault"),
        [
            (["-c", "4k"], 'argument "-c": expected an integer, got "4k"'),
            (["-c", "-2"], f'argument "-c": expected an integer from 1 to {2**31 - 1}, got -2'),
            (["--port", "65536"], "expected an integer from 0 to 65535, got 65536"),
            (["-np", "0"], f"expected an integer from 1 to {2**31 - 1}, got 0"),
            (["--temp", "warm"], 'expected a number, got "warm"'),
            (["--temp", "nan"], 'expected a number, got "nan"'),
            (["--rope-scale", "0"], 'expected a number above 0, got "0"'),
            (["--pooling", "max"], 'expected one of none, mean, cls, last, rank; got "max"'),
            (["--alias", " , "], "expected at least one name"),
            (["-ngl", "most"], 'expected an integer, got "most"'),
            (["-fa", "maybe"], 'got "maybe"'),
            (["--chat-template-kwargs", "[1]"], "expected a JSON object, got [1]"),
            (["--chat-template-kwargs", "{"], 'argument "--chat-template-kwargs": '),
            (["--seed", "-2"], f"expected an integer from -1 to {2**32 - 1}, got -2"),
        ],
    )
    def test_a_bad_value_is_refused_with_what_was_expected(
        self, arguments: list[str], fault: str
    ) -> None:
        assert fault in refusal(*arguments)

    def test_flash_attention_alone_is_on(self) -> None:
        on = {"flash_attn_type": "LLAMA_FLASH_ATTN_TYPE_ENABLED"}
        assert read("-fa") == on
        assert read("-fa", "-c", "1") == {**on, "n_ctx": 1}
        assert read("-fa", "-1") == {"flash_attn_type": "LLAMA_FLASH_ATTN_TYPE_AUTO"}

    def test_words_beside_numbers(self) -> None:
        assert read("-ngl", "all") == {"n_gpu_layers": -2}
        assert read("-c", "0") == {"n_ctx": 0, "fit_params_min_ctx": -1}
        assert read("-np", "-1") == {"n_parallel": -1}

    def test_the_later_of_two_chat_templates_counts(self) -> None:
        both = read("--chat-template", "a", "--chat-template-file", "b")
        assert both == {"chat_template": "", ":file.chat_template": "b"}
        both = read("--chat-template-file", "b", "--chat-template", "a")
        assert both == {"chat_template": "a", ":file.chat_template": ""}

    @given(INTS)
    def test_any_integer_llama_cpp_can_hold(self, number: int) -> None:
        assert read("-c", str(number)) == {"n_ctx": number}

    @given(st.lists(st.text(max_size=12), max_size=6))
    def test_any_line_is_read_or_refused(self, arguments: list[str]) -> None:
        try:
            read(*arguments)
        except FlagError as refused:
            assert str(refused)


class TestEnvironment:
    def test_each_variable_does_what_its_flag_does(self) -> None:
        for flag in TABLE:
            if flag.env is None:
                continue
            if flag.read is None:
                assert read(**{flag.env: "on"}) == read(flag.names[0])
                assert read(**{flag.env: "0"}) == flag.off
            else:
                assert read(**{flag.env: sample(flag)}) == read(flag.names[0], sample(flag))

    def test_an_argument_beats_its_variable(self) -> None:
        assert read("-c", "2", LLAMA_ARG_CTX_SIZE="1") == {"n_ctx": 2}

    def test_a_no_variable_turns_off_whatever_it_says(self) -> None:
        assert read(LLAMA_ARG_NO_JINJA="1", LLAMA_ARG_JINJA="1") == {"use_jinja": False}
        assert read(LLAMA_ARG_NO_EMBEDDINGS="1") == {}

    def test_a_bad_variable_is_refused_by_name(self) -> None:
        fault = refusal(LLAMA_ARG_CTX_SIZE="4k")
        assert fault == 'environment variable "LLAMA_ARG_CTX_SIZE": expected an integer, got "4k"'
        fault = refusal(LLAMA_ARG_JINJA="maybe")
        assert fault == 'environment variable "LLAMA_ARG_JINJA": expected on or off, got "maybe"'

    def test_other_variables_do_not_matter(self) -> None:
        assert read(LLAMA_ARG_FUTURE="1", PATH="/bin") == {}


class TestRecord:
    """What llama.cpp gets, in its real record."""

    def test_every_flag_can_be_applied(self) -> None:
        for flag in TABLE:
            value = [sample(flag)] if flag.read else []
            for name in (*flag.names[:1], *flag.off_names[:1]):
                record(name, *(value if name in flag.names else []))

    def test_defaults_are_llama_servers(self) -> None:
        params = record()
        assert params.n_parallel == 1
        assert params.cpuparams.n_threads == params.cpuparams_batch.n_threads > 0
        assert params.default_template_kwargs == {"preserve_reasoning": "true"}

    def test_types_of_the_record(self) -> None:
        params = record(
            *"-m a -a b,c --api-key k,l --pooling mean --seed -1 --temp 0.5 --timeout 9".split(),
            *"-rea off --host 0.0.0.0 --rerank".split(),
        )
        assert params.model.path == "a"
        assert params.model_alias == {"b", "c"}
        assert params.api_keys == ["k", "l"]
        assert params.hostnames == ["0.0.0.0"]
        assert params.pooling_type == xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_RANK
        assert params.sampling.seed == xllamacpp.LLAMA_DEFAULT_SEED
        assert params.sampling.user_sampling_config == 64
        assert params.timeout_read == params.timeout_write == 9
        assert params.default_template_kwargs["enable_thinking"] == "false"

    def test_threads(self) -> None:
        assert record("-t", "3").cpuparams_batch.n_threads == 3
        params = record("-t", "3", "-tb", "5")
        assert (params.cpuparams.n_threads, params.cpuparams_batch.n_threads) == (3, 5)
        assert record("-t", "0").cpuparams.n_threads >= 1

    def test_threads_where_affinity_and_cores_are_unknown(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delattr("os.sched_getaffinity", raising=False)
        monkeypatch.setattr("os.cpu_count", lambda: None)
        monkeypatch.setattr("psutil.cpu_count", lambda logical: None if not logical else 1)
        assert record().cpuparams.n_threads == 1

    @pytest.mark.parametrize(
        ("line", "mode"),
        [
            ("", "AUTO"),
            ("--mlock", "MMAP_MLOCK"),
            ("--no-mmap", "NONE"),
            ("--no-mmap --mlock", "MLOCK"),
            ("--mmap", "MMAP"),
            ("-lm dio", "DIRECT_IO"),
            ("-lm mmap+mlock", "MMAP_MLOCK"),
        ],
    )
    def test_how_the_file_is_loaded(self, line: str, mode: str) -> None:
        expected = xllamacpp.llama_load_mode[f"LLAMA_LOAD_MODE_{mode}"]
        assert record(*line.split()).load_mode == expected

    def test_places_of_tensors_add_up(self) -> None:
        experts = r"\.ffn_(up|down|gate|gate_up)_(ch|)exps=CPU"
        assert record("-ot", "x=CPU", "-ncmoe", "2", "-cmoe").tensor_buft_overrides == (
            rf"x=CPU,blk\.0{experts},blk\.1{experts},{experts}"
        )
        assert record("-ncmoe", "0").tensor_buft_overrides == ""


def test_usage_lists_every_name_and_variable() -> None:
    text = usage(TABLE)
    for flag in TABLE:
        assert ", ".join((*flag.names, *flag.off_names)) in text
        assert flag.env is None or f"(env: {flag.env})" in text


def test_words_for_yes_and_no_are_apart() -> None:
    assert not set(TRUE) & set(FALSE)
