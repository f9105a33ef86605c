// Judges an AsyncAPI document with the official parser. Exit code 1 and a line for each thing that is wrong.
import { readFile } from "node:fs/promises";
import parserPackage from "@asyncapi/parser";

const { document, diagnostics } = await new parserPackage.Parser().parse(await readFile(process.argv[2], "utf-8"));
const wrong = diagnostics.filter((one) => one.severity <= 1);
for (const one of wrong) console.error(`${one.code} ${one.path.join(".")}: ${one.message}`);
if (document === undefined || wrong.length > 0) process.exit(1);
console.log(`channels ${document.channels().all().length} operations ${document.operations().all().length}`);
process.exit(0);
