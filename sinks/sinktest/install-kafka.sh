#!/bin/sh
# Fetches Apache Kafka, as its Maven packages, into the cache that kafka.go looks in: the broker and what it needs, with a logger
# that writes to standard error. About 90 MB. What is there already is left alone. Maven and a Java runtime come from Debian
# when they are missing.
#
#   install-kafka.sh [DIRECTORY]   default: $WAYBILL_CACHE, else /var/cache/waybill for root, else ~/.cache/waybill
#
# Exit codes: 0 all there, 1 fetching failed, 3 Java or Maven is missing and cannot be installed.
set -eu

version=4.1.1
slf4j=1.7.36

say() { echo "install-kafka: $*"; }

cache=${1:-${WAYBILL_CACHE:-}}
if [ -z "$cache" ]; then
	if [ "$(id -u)" = 0 ]; then cache=/var/cache/waybill; else cache=${XDG_CACHE_HOME:-$HOME/.cache}/waybill; fi
fi
dir=$cache/kafka

missing=''
command -v java >/dev/null 2>&1 || missing=openjdk-17-jre-headless
there=no
if [ -d "$dir" ] && [ "$(cat "$dir/VERSION" 2>/dev/null)" = "$version" ]; then there=yes; fi
[ $there = yes ] || command -v mvn >/dev/null 2>&1 || missing="$missing maven"
if [ -n "$missing" ]; then
	if [ "$(id -u)" != 0 ]; then
		say "missing: $missing; only root can install them: sudo apt-get install -y --no-install-recommends $missing" >&2
		exit 3
	fi
	say "installing $missing"
	export DEBIAN_FRONTEND=noninteractive
	# $missing is a list of words.
	# shellcheck disable=SC2086
	apt-get -o DPkg::Lock::Timeout=120 install -y -q --no-install-recommends $missing >/dev/null 2>&1 ||
		{ apt-get -o DPkg::Lock::Timeout=120 update -q >/dev/null &&
			apt-get -o DPkg::Lock::Timeout=120 install -y -q --no-install-recommends $missing >/dev/null; } ||
		{ say "apt-get failed" >&2; exit 3; }
fi
if [ $there = no ]; then
	say "fetching Apache Kafka $version"
	mkdir -p "$cache"
	work=$(mktemp -d "$cache/.kafka.XXXXXX")
	trap 'rm -rf "$work"' EXIT
	trap 'exit 1' HUP INT TERM
	cat >"$work/pom.xml" <<-POM
		<project xmlns="http://maven.apache.org/POM/4.0.0">
		  <modelVersion>4.0.0</modelVersion>
		  <groupId>waybill</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
		  <dependencies>
		    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
		    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>$slf4j</version></dependency>
		  </dependencies>
		</project>
	POM
	mvn -q -B -f "$work/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies -DincludeScope=runtime \
		-DoutputDirectory="$work/libs" >"$work/mvn.log" 2>&1 || { tail -n 15 "$work/mvn.log" >&2; say "fetching failed" >&2; exit 1; }
	echo "$version" >"$work/VERSION"
	rm -rf "$work/pom.xml" "$work/mvn.log" "$dir"
	chmod -R a+rX "$work"
	chmod 755 "$work"
	mv "$work" "$dir"
fi
say "Apache Kafka $version in $dir"
