# text-uda with all that `text-uda demo` needs:
#
#   docker build -t text-uda .
#   docker run --rm -it -v "$PWD:/data" text-uda demo
#   docker run --rm -it --gpus all -v "$PWD:/data" text-uda train reviews.tsv --labels 60 --out run
#
# The versions are those of constraints.txt, which are frozen with this version of Python.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends apertium-eng-spa wordnet-base wordnet-sense-index \
    && rm -rf /var/lib/apt/lists/*

COPY pyproject.toml constraints.txt README.md LICENSE /source/
COPY text_uda /source/text_uda
COPY translation_cache /source/translation_cache
RUN PIP_CONSTRAINT=/source/constraints.txt pip install --no-cache-dir '/source[demo,ctranslate2]' && rm -rf /source

# Caches of models and features, and what a run writes, lie beside your files.
ENV HF_HOME=/data/.cache/huggingface XDG_CACHE_HOME=/data/.cache
WORKDIR /data
ENTRYPOINT ["text-uda"]
